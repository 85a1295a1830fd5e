from heliograph.archiver import address
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.object_store import ObjectStore


def open_store(url: str, s3_endpoint_url: str = "") -> ObjectStore:
    """The store that an address names.

    Raises:
        ConfigError: the address is wrong.
    """
    where = address.archive(url)
    if isinstance(where, address.Folder):
        return FolderStore(where.path)
    # boto3 takes 40 MB and half a second, which a folder need not pay.
    from heliograph.archiver.archive.s3_store import S3Store  # noqa: PLC0415

    return S3Store(where.name, where.prefix, s3_endpoint_url)
