"""One contract for every object store: a folder, and S3 by a real server of its protocol."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from heliograph.archiver.archive import s3_store
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.s3_store import S3Store
from heliograph.archiver.archive.stores import open_store
from heliograph.common.errors import ConfigError, InvariantError, UnavailableError


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks S3."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3", "s3 with a prefix"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    """Each kind of store, empty."""
    if request.param == "folder":
        yield open_store(f"file://{tmp_path}/archive")
        return
    endpoint: str = request.getfixturevalue("s3_endpoint")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    prefix = "/deep/archive" if "prefix" in request.param else ""
    made = open_store(f"s3://heliograph{prefix}", endpoint)
    yield made
    for key in made.list(""):
        made.delete(key)


def test_what_was_put_is_got(store: ObjectStore) -> None:
    data = bytes(range(256)) * 100
    store.put("bars/date=2020-01-01/part-1.parquet", data)
    assert store.get("bars/date=2020-01-01/part-1.parquet") == data


def test_what_is_not_there_is_none_and_no_error_to_delete(store: ObjectStore) -> None:
    assert store.get("bars/none") is None
    store.delete("bars/none")
    assert store.list("") == []
    assert store.list("bars/") == []


def test_a_second_put_replaces_and_a_delete_removes(store: ObjectStore) -> None:
    store.put("a/b", b"one, and longer")
    store.put("a/b", b"two")
    assert store.get("a/b") == b"two"
    assert store.list("a/") == ["a/b"]
    store.delete("a/b")
    assert store.get("a/b") is None
    store.put("a/b", b"three")
    assert store.get("a/b") == b"three"


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("a/empty", b"")
    assert store.get("a/empty") == b""


def test_a_list_is_of_its_prefix_sorted_and_whole(store: ObjectStore) -> None:
    keys = [f"bars/date=2020-01-{d:02}/part" for d in range(1, 29)]
    for key in [*reversed(keys), "barsx", "signals/date=2020-01-01/part"]:
        store.put(key, b"x")
    assert store.list("bars/") == keys
    assert store.list("bars/date=2020-01-1") == keys[9:19]
    assert store.list("") == sorted([*keys, "barsx", "signals/date=2020-01-01/part"])


def test_many_threads_may_put_at_once(store: ObjectStore) -> None:
    def put(number: int) -> None:
        for part in range(5):
            store.put(f"t/{number % 3}/{number}-{part}", f"{number}-{part}".encode())

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list("t/")) == 40
    assert all(store.get(key) == key.rpartition("/")[2].encode() for key in store.list("t/"))


def test_more_keys_than_a_page_of_s3_are_listed(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(s3_store, "PAGE", 10)
    store = S3Store("many", endpoint_url=s3_endpoint)
    for number in range(25):
        store.put(f"k/{number:05}", b"")
    assert len(store.list("k/")) == 25


def test_s3_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    store = S3Store("bucket", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="archive: writing a/b"):
        store.put("a/b", b"")


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FolderStore(tmp_path / "file")
    with pytest.raises(UnavailableError, match="archive: writing"):
        store.put("a/b", b"")


def test_an_unfinished_file_is_not_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b", b"whole")
    (tmp_path / "a" / "c.tmp").write_bytes(b"ha")
    assert store.list("") == ["a/b"]


def test_a_folder_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "archive")
    store.put("a/b", b"1")
    (tmp_path / "archive" / "a" / "b").unlink()
    (tmp_path / "archive" / "a").rmdir()
    store.put("a/b", b"2")
    assert store.get("a/b") == b"2"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/x", "a//b", ""])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(InvariantError, match="key"):
        FolderStore(tmp_path / "archive").put(key, b"")


def test_an_address_of_no_store_is_refused() -> None:
    with pytest.raises(ConfigError, match="archive_url"):
        open_store("ftp://host")
