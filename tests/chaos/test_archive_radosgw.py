"""The archive on Ceph's S3 gateway: the contract of stores, and a gateway killed while days are written."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from tests.chaos import ceph
from tests.running import ROOT

from heliograph.archiver.archive.archive import Archive, Summary
from heliograph.archiver.archive.stores import open_store
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.schema import BARS
from heliograph.common.errors import UnavailableError

DAY_S = 5
DAYS = 300
KILLS = 2
CONTRACT = ("test_stores.py", "test_lifecycle.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ceph.Ceph]:
    """A cluster of its own, where a day of lifecycle takes five seconds."""
    if missing := ceph.missing():
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: ceph-mon ceph-osd ceph-common radosgw)")
    started = ceph.Ceph(tmp_path_factory.mktemp("ceph"), DAY_S)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def test_the_contract_of_the_stores_holds_on_it_locks_and_lifecycle_too(gateway: ceph.Ceph) -> None:
    tests = [str(ROOT / "services" / "archiver" / "tests" / name) for name in CONTRACT]
    named = {"HELIOGRAPH_TEST_S3": gateway.url, "HELIOGRAPH_TEST_S3_DAY_S": str(DAY_S)}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "given", *tests],
        cwd=ROOT,
        env={**gateway.environment, **named},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "skipped" not in ran.stdout.splitlines()[-1]


async def test_a_gateway_killed_while_days_are_written_leaves_each_day_once(
    gateway: ceph.Ceph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, gateway.environment[name])
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    db = ClickHouse(f"chdb://{tmp_path}/clickhouse")
    await db.open()
    await db.insert("bars", days_of_bars())
    archive = Archive(db, open_store("s3://killed/archive", gateway.url))
    for _ in range(KILLS):
        before = await asyncio.to_thread(objects, gateway)
        run = asyncio.create_task(archive.run(complete_only=False))
        while not run.done() and await asyncio.to_thread(objects, gateway) < before + DAYS // (2 * KILLS):
            await asyncio.sleep(0.02)
        gateway.kill_gateway()
        interrupted = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(interrupted[0], UnavailableError), "the gateway was there to the end"
        await asyncio.to_thread(gateway.start_gateway)
    summary: Summary = await archive.run(complete_only=False)
    assert (summary.objects, summary.rows) == (DAYS, 2 * DAYS)
    verdict = await archive.holdings.verify()
    assert (verdict.checked, verdict.wrong) == (DAYS, {})
    # The same archive from a folder: the same rows under the same names.
    beside = Archive(db, open_store(f"file://{tmp_path}/archive"))
    assert (await beside.run(complete_only=False)).bytes == summary.bytes
    archive.close()
    beside.close()
    await db.close()


def objects(gateway: ceph.Ceph) -> int:
    """How many objects the bucket has; none before it is made."""
    client = boto3.client("s3", endpoint_url=gateway.url)
    listed: Callable[..., Iterator[dict[str, int]]] = client.get_paginator("list_objects_v2").paginate
    try:
        return sum(page["KeyCount"] for page in listed(Bucket="killed"))
    except client.exceptions.NoSuchBucket:
        return 0


def days_of_bars() -> pa.Table:
    """Two daily bars of each of many days."""
    times = [(18_262 + day) * 86_400 * 10**9 for day in range(DAYS) for _ in range(2)]
    count = len(times)
    columns = {
        "symbol": ["AAPL", "NVDA"] * DAYS,
        "interval": ["1d"] * count,
        "source": ["test"] * count,
        "ts": times,
        "received": times,
        **{name: [100.0] * count for name in ("open", "high", "low", "close", "volume", "split")},
    }
    return pa.table(columns).select(BARS.columns.names).cast(BARS.columns)
