"""Objects in an S3 bucket, of AWS or of any server that speaks its protocol."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from heliograph.archiver.archive.s3_lifecycle import S3Lifecycle
from heliograph.common.clock import NANOSECONDS, SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
TIMEOUT_S = 10
TRIES = 8
"""Attempts of one call; with half of all calls failing, one in 256 is then left to the next run."""
MULTIPART_BYTES = 16 << 20
"""Objects from this size on go up in parts of `PART_BYTES`, each tried again for itself."""
PART_BYTES = 8 << 20
PAGE = 1000
"""Keys in one answer to a list: the protocol's most."""


class S3Store:
    """An `ObjectStore` under a prefix of a bucket; boto3 looks for credentials and region."""

    parallel = 16

    def __init__(self, bucket: str, prefix: str = "", endpoint_url: str = "", lock_days: int = 0) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._lock_days = lock_days
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
            if len(data) >= MULTIPART_BYTES:
                self._client.upload_fileobj(
                    BytesIO(data),
                    self._bucket,
                    self._prefix + key,
                    ExtraArgs={**self._lock(), "ChecksumAlgorithm": "SHA256"} if self._lock_days else None,
                    Config=TransferConfig(
                        multipart_threshold=MULTIPART_BYTES, multipart_chunksize=PART_BYTES
                    ),
                )
                return
            md5 = hashlib.md5(data, usedforsecurity=False).digest()
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ContentMD5=b64encode(md5).decode(),
                **self._lock(),
            )

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

    def lifecycle(self) -> S3Lifecycle:
        """The rules by which objects move between storage classes; the bucket is made where it is missing.

        Raises:
            UnavailableError: the store does not answer.
        """
        with _translated(f"looking at {self._bucket}"):
            self._ensure_bucket()
        return S3Lifecycle(self._client, self._bucket, self._prefix, self._lock_days)

    def _lock(self) -> Any:
        """What makes an object immutable for a time; nothing where that is not wanted."""
        if not self._lock_days:
            return {}
        now = datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() / NANOSECONDS, UTC)
        until = now + timedelta(days=self._lock_days)
        return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}

    def _ensure_bucket(self) -> None:
        if self._ready:
            return
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in MISSING:
                raise
            self._client.create_bucket(Bucket=self._bucket, ObjectLockEnabledForBucket=self._lock_days > 0)
        if self._lock_days:
            self._check_lock()
        self._ready = True

    def _check_lock(self) -> None:
        """Refuse a bucket that would not keep what it is asked to keep.

        Raises:
            ConfigError: it was made without Object Lock.
        """
        try:
            found = self._client.get_object_lock_configuration(Bucket=self._bucket)
            enabled = found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled"
        except ClientError as error:
            if _code(error) not in ("ObjectLockConfigurationNotFoundError", "InvalidRequest"):
                raise
            enabled = False
        if not enabled:
            raise ConfigError(
                f"archive_lock_days: {self._lock_days}, but the bucket {self._bucket} has no Object Lock; "
                "expected a bucket made with it"
            )


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError) as error:
        raise UnavailableError(f"archive: {doing}: {error}") from error
