from heliograph.archiver import address
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.common.errors import ConfigError


def open_store(url: str, s3_endpoint_url: str = "", lock_days: int = 0) -> ObjectStore:
    """The store that an address names; `lock_days` keeps its objects immutable for so long.

    Raises:
        ConfigError: the address is wrong.
    """
    where = address.archive(url)
    if isinstance(where, address.Folder):
        if lock_days:
            raise ConfigError(f"archive_lock_days: {lock_days}, expected 0 for an archive in a folder")
        return FolderStore(where.path)
    # boto3 takes 40 MB and half a second, which a folder need not pay.
    from heliograph.archiver.archive.s3_store import S3Store  # noqa: PLC0415

    return S3Store(where.name, where.prefix, s3_endpoint_url, lock_days)
