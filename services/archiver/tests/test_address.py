from pathlib import Path

import pytest

from heliograph.archiver import address
from heliograph.common.errors import ConfigError


def test_an_embedded_store_is_a_folder() -> None:
    assert address.clickhouse("chdb:///var/lib/a%20b") == address.Embedded(Path("/var/lib/a b"))


@pytest.mark.parametrize(
    ("url", "port", "secure", "database"),
    [
        ("http://u:p%40ss@ch.example:9000/db", 9000, False, "db"),
        ("http://u:p%40ss@ch.example", 8123, False, "default"),
        ("https://u:p%40ss@ch.example/", 8443, True, "default"),
    ],
)
def test_a_server_has_its_options(url: str, port: int, secure: bool, database: str) -> None:  # noqa: FBT001 - a case
    server = address.clickhouse(url)
    assert isinstance(server, address.Server)
    assert server.database == database
    assert server.options == {
        "host": "ch.example",
        "port": port,
        "secure": secure,
        "username": "u",
        "password": "p@ss",
    }


@pytest.mark.parametrize(
    "url", ["", "chdb://", "chdb:///", "chdb://host/path", "postgres://h/db", "http://", "http://h:port/db"]
)
def test_a_wrong_database_address_is_refused_by_its_key(url: str) -> None:
    with pytest.raises(ConfigError, match="clickhouse_url"):
        address.clickhouse(url)


def test_the_password_of_a_refused_address_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        address.clickhouse("htp://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_an_archive_is_a_folder_or_a_bucket() -> None:
    assert address.archive("file:///srv/archive") == address.Folder(Path("/srv/archive"))
    assert address.archive("s3://bucket") == address.Bucket("bucket", "")
    assert address.archive("s3://Bucket_1/a/b/") == address.Bucket("Bucket_1", "a/b/")


@pytest.mark.parametrize("url", ["", "/srv", "file://host/x", "file:///", "s3://", "ftp://h/x"])
def test_a_wrong_archive_address_is_refused_by_its_key(url: str) -> None:
    with pytest.raises(ConfigError, match="archive_url"):
        address.archive(url)
