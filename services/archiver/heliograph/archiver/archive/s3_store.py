"""Objects in an S3 bucket, of AWS or of any server that speaks its protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from heliograph.common.errors import UnavailableError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
TIMEOUT_S = 10
TRIES = 4
PAGE = 1000
"""Keys in one answer to a list: the protocol's most."""


class S3Store:
    """An `ObjectStore` under a prefix of a bucket; boto3 looks for credentials and region."""

    parallel = 16

    def __init__(self, bucket: str, prefix: str = "", endpoint_url: str = "") -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._ready = False
        config = Config(
            connect_timeout=TIMEOUT_S,
            read_timeout=TIMEOUT_S,
            retries={"max_attempts": TRIES, "mode": "standard"},
            max_pool_connections=self.parallel,
            # Path style and checksums only where required: what other servers than AWS understand.
            s3={"addressing_style": "path" if endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client: S3Client = boto3.client("s3", endpoint_url=endpoint_url or None, config=config)

    def put(self, key: str, data: bytes) -> None:
        """Write the object; a bucket that is missing is made first."""
        with _translated(f"writing {key}"):
            self._ensure_bucket()
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def flush(self) -> None:
        """Nothing to do: an object is durable when its upload has been answered."""

    def get(self, key: str) -> bytes | None:
        """The object's bytes."""
        with _translated(f"reading {key}"):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise

    def list(self, prefix: str) -> list[str]:
        """The keys under a prefix, page by page."""
        with _translated(f"listing {prefix}"):
            try:
                pages = self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._bucket, Prefix=self._prefix + prefix, PaginationConfig={"PageSize": PAGE}
                )
                keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
            except ClientError as error:
                if _code(error) in MISSING:
                    return []
                raise
        return sorted(key.removeprefix(self._prefix) for key in keys)

    def delete(self, key: str) -> None:
        """Remove the object."""
        with _translated(f"removing {key}"):
            try:
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if _code(error) not in MISSING:
                    raise

    def _ensure_bucket(self) -> None:
        if self._ready:
            return
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in MISSING:
                raise
            self._client.create_bucket(Bucket=self._bucket)
        self._ready = True


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"archive: {doing}: {error}") from error
