"""`heliograph up --once`: everything arrives everywhere, and the signals depend on the bars alone."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.running import Running, Summary, same

SAMPLE_SIGNALS = "3ec8ece6edaf626a26bbad6b36e20c26d05193de5a029081da068214b7e30bbc"
"""`signals_sha256` of the sample with the default strategy; a change of it is a change of the decisions."""

pytestmark = pytest.mark.timeout(400)


def test_all_that_goes_in_comes_out_as_in_every_run_before(
    once: Callable[..., Running], sample: Path
) -> None:
    whole = once("--data", str(sample)).summary()
    rows = sum(pq.read_metadata(f).num_rows for f in sample.glob("*.parquet"))
    assert whole["bars"] + sum(whole["quarantined"].values()) == rows
    assert whole["signals"] > 100
    assert whole["reasons"] == whole["signals"]
    assert whole["signals"] == whole["outcomes"] + whole["open"]
    stored = whole["bars"] + whole["signals"] + whole["reasons"] + whole["outcomes"]
    assert whole["archived"]["rows"] == stored
    assert whole["dead"] == 0
    assert whole["signals_sha256"] == SAMPLE_SIGNALS
    assert set(whole["engines"]) == {"nats", "postgres", "clickhouse", "redis"}


def test_other_shards_and_two_replicas_give_the_same_signals(
    once: Callable[..., Running], year: Path, expected: Summary
) -> None:
    run = once("--data", str(year), "--shards", "5", "--replicas", "2")
    summary = run.summary()
    assert same(summary) == expected, run.all_text()
    assert (summary["shards"], summary["replicas"]) == (5, 2)
