from pathlib import Path
from typing import ClassVar

from pydantic import Field

from heliograph.archiver.archive.parquet import Format
from heliograph.archiver.replication import Replication
from heliograph.archiver.tiers import Tier
from heliograph.common.config import Settings, from_env
from heliograph.common.errors import ConfigError


def embedded_store() -> str:
    """The embedded engine's data under the working folder."""
    return f"chdb://{Path.cwd() / '.heliograph' / 'clickhouse'}"


def archive_folder() -> str:
    """The archive under the working folder."""
    return f"file://{Path.cwd() / '.heliograph' / 'archive'}"


class ArchiverSettings(Settings):
    """What the archiver needs beside the common settings."""

    own_nice: ClassVar[int] = 10

    clickhouse_url: str = Field(
        default_factory=embedded_store,
        validation_alias=from_env("CLICKHOUSE_URL"),
        description="chdb:///absolute/path, or http://user:password@host:8123/database",
        repr=False,
    )
    clickhouse_cold_policy: str = Field(
        "", description="storage policy of a ClickHouse server by which old events move; none: they stay"
    )
    clickhouse_cold_volume: str = Field("cold", description="volume of that policy that takes them")
    clickhouse_cold_days: int = Field(90, ge=1, le=36_500, description="age of an event day that moves")
    clickhouse_keeper_path: str = Field(
        "",
        description="path of a table in the keeper, such as /clickhouse/tables/{shard}/{database}/{table}: "
        "the tables of a ClickHouse server are replicated; none: they are not",
    )
    clickhouse_cluster: str = Field(
        "", description="cluster of the server on whose every replica tables are made; none: on the one asked"
    )
    archive_url: str = Field(
        default_factory=archive_folder,
        validation_alias=from_env("ARCHIVE_URL"),
        description="file:///absolute/path, or s3://bucket/prefix",
    )
    s3_endpoint_url: str = Field("", validation_alias=from_env("S3_ENDPOINT_URL"))
    insert_rows: int = Field(10_000, ge=1, le=1_000_000, description="rows that are inserted without waiting")
    insert_s: float = Field(
        0.25, ge=0, le=1, description="seconds that rows wait at most to be inserted together"
    )
    archive_format: Format = Field(
        "zstd", description="of archived days: Parquet with ZSTD or Snappy, or CSV"
    )
    archive_lock_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="days that S3 lets nobody alter or delete an object",
    )
    archive_sample_s: float = Field(
        3600.0, gt=0, le=86_400, description="seconds between checks of a sample of the archive"
    )
    archive_sample_objects: int = Field(100, ge=1, le=10_000, description="objects in such a sample")
    archive_period_s: float = Field(
        30.0, gt=0, le=86_400, description="seconds between looks for complete days"
    )

    @property
    def replication(self) -> Replication | None:
        """How tables are replicated; none without a path.

        Raises:
            ConfigError: a path or name cannot be one, or a cluster is named without a path.
        """
        if self.clickhouse_keeper_path:
            return Replication(path=self.clickhouse_keeper_path, cluster=self.clickhouse_cluster)
        if self.clickhouse_cluster:
            raise ConfigError(
                f"clickhouse_cluster: {self.clickhouse_cluster!r}, expected none, since tables are not "
                "replicated without a clickhouse_keeper_path"
            )
        return None

    @property
    def tier(self) -> Tier | None:
        """Where old events move; none when no policy is named.

        Raises:
            ConfigError: a name is not one.
        """
        if not self.clickhouse_cold_policy:
            return None
        return Tier(
            policy=self.clickhouse_cold_policy,
            volume=self.clickhouse_cold_volume,
            days=self.clickhouse_cold_days,
        )
