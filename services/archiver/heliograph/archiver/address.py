"""The addresses of the stores: `chdb:///folder`, `http://user:password@host/database`, `file:///folder`, `s3://bucket/prefix`."""

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from heliograph.common.errors import ConfigError

HTTP_PORT = 8123
HTTPS_PORT = 8443


class Embedded(msgspec.Struct, frozen=True):
    """ClickHouse inside this process, its data in a folder."""

    folder: Path


class Server(msgspec.Struct, frozen=True):
    """A ClickHouse server; `options` are those of `clickhouse_connect.get_client`."""

    options: dict[str, Any]
    database: str


class Folder(msgspec.Struct, frozen=True):
    """An archive in a folder."""

    path: Path


class Bucket(msgspec.Struct, frozen=True):
    """An archive in a bucket; `prefix` ends with `/` or is empty."""

    name: str
    prefix: str


def clickhouse(url: str) -> Embedded | Server:
    """Where ClickHouse is.

    Raises:
        ConfigError: the address is not one of the two forms; a password in it is not shown.
    """
    parts = urlsplit(url)
    if parts.scheme == "chdb":
        return Embedded(_folder("clickhouse_url", url, parts))
    if parts.scheme in ("http", "https") and parts.hostname:
        secure = parts.scheme == "https"
        try:
            port = parts.port or (HTTPS_PORT if secure else HTTP_PORT)
        except ValueError as error:
            raise ConfigError(f"clickhouse_url: {error}") from None
        options = {
            "host": parts.hostname,
            "port": port,
            "secure": secure,
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
        }
        return Server(options, unquote(parts.path.strip("/")) or "default")
    raise ConfigError(
        f"clickhouse_url: scheme {parts.scheme!r}, expected chdb:///absolute/path "
        "or http://user:password@host:8123/database"
    )


def archive(url: str) -> Folder | Bucket:
    """Where the archive is.

    Raises:
        ConfigError: the address is not one of the two forms.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Folder(_folder("archive_url", url, parts))
    if parts.scheme == "s3" and parts.hostname:
        prefix = unquote(parts.path).strip("/")
        return Bucket(parts.netloc, f"{prefix}/" if prefix else "")
    raise ConfigError(f"archive_url: {url!r}, expected file:///absolute/path or s3://bucket/prefix")


def _folder(key: str, url: str, parts: SplitResult) -> Path:
    if parts.netloc or not parts.path.strip("/"):
        raise ConfigError(f"{key}: {url!r}, expected {parts.scheme}:///absolute/path")
    return Path(unquote(parts.path))
