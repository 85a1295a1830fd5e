"""One contract for every object store: a folder, and S3 by a real server of its protocol."""

import random
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse, HTTPHeaders
from botocore.exceptions import ClientError

from heliograph.archiver.archive import s3_store
from heliograph.archiver.archive.folder_store import FolderStore
from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.s3_store import S3Store
from heliograph.archiver.archive.stores import open_store
from heliograph.common.errors import ConfigError, InvariantError, UnavailableError


@pytest.fixture(params=["folder", "s3", "s3 with a prefix"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, s3_endpoint: str, tmp_path: Path, bucket: str) -> ObjectStore:
    """Each kind of store, empty."""
    if kind == "folder":
        return open_store(f"file://{tmp_path}/archive")
    prefix = "/deep/archive" if "prefix" in kind else ""
    return open_store(f"s3://{bucket}{prefix}", s3_endpoint)


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


def test_more_keys_than_a_page_of_s3_are_listed(
    s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PAGE", 10)
    store = S3Store(bucket, endpoint_url=s3_endpoint)
    for number in range(25):
        store.put(f"k/{number:05}", b"")
    assert len(store.list("k/")) == 25


def test_s3_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
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


def test_a_large_object_goes_up_in_parts(
    s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "MULTIPART_BYTES", 6 << 20)
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 << 20)
    store = S3Store(bucket, endpoint_url=s3_endpoint)
    data = random.Random(1).randbytes(11 << 20)  # noqa: S311 - bytes that do not compress
    store.put("a/large", data)
    assert store.get("a/large") == data
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    assert client.head_object(Bucket=bucket, Key="a/large")["ETag"].strip('"').endswith("-3"), "three parts"


def test_calls_that_fail_half_of_the_time_are_tried_again(
    s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    store = S3Store(bucket, endpoint_url=s3_endpoint)
    failed = failing(store, share=0.5)
    for number in range(40):
        store.put(f"a/{number:02}", b"x" * number)
    assert len(failed) > 20
    assert [store.get(f"a/{number:02}") for number in range(40)] == [b"x" * number for number in range(40)]
    assert len(store.list("a/")) == 40


def failing(store: S3Store, share: float) -> list[str]:
    """Let a share of a store's calls fail as an overloaded S3 does; the calls that failed."""
    chance = random.Random(2)  # noqa: S311 - the same failures each time
    failed: list[str] = []

    def refuse(request: Any, **_: Any) -> Any:
        if chance.random() >= share:
            return None
        failed.append(request.url)
        return AWSResponse(request.url, 503, HTTPHeaders(), Empty())

    store._client.meta.events.register("before-send.s3", refuse)
    return failed


class Empty:
    """The body of an answer without one."""

    @staticmethod
    def stream(**_: Any) -> list[bytes]:
        return []


def test_a_locked_object_outlives_its_deletion(s3_endpoint: str, bucket: str) -> None:
    store = S3Store(bucket, endpoint_url=s3_endpoint, lock_days=1)
    store.put("a/b", b"kept")
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    [version] = client.list_object_versions(Bucket=bucket, Prefix="a/b")["Versions"]
    head = client.head_object(Bucket=bucket, Key="a/b")
    assert head["ObjectLockMode"] == "COMPLIANCE"
    store.delete("a/b")
    assert store.get("a/b") is None
    assert (
        client.get_object(Bucket=bucket, Key="a/b", VersionId=version["VersionId"])["Body"].read() == b"kept"
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=bucket, Key="a/b", VersionId=version["VersionId"])


def test_a_bucket_that_cannot_lock_is_refused(s3_endpoint: str, bucket: str) -> None:
    S3Store(bucket, endpoint_url=s3_endpoint).put("a", b"")
    with pytest.raises(ConfigError, match="archive_lock_days: 1, but the bucket"):
        S3Store(bucket, endpoint_url=s3_endpoint, lock_days=1).put("b", b"")


def test_a_folder_cannot_lock(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="archive_lock_days"):
        open_store(f"file://{tmp_path}", lock_days=1)
