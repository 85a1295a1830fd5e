"""What the API asks of the record: ended signals, symbols, days, and the proof of one signal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch, Signal
from heliograph.common.service import Delivery
from heliograph.tracker import days, leases, merkle, record
from heliograph.tracker.closing import Costs
from heliograph.tracker.database import Database
from heliograph.tracker.engine import OpenSignals
from heliograph.tracker.queries import SignalQuery
from heliograph.tracker.rows import outcome_row, signal_row
from heliograph.tracker.views import answers
from heliograph.tracker.views.performance import drawdown
from heliograph.tracker.views.proof import prove
from heliograph.tracker.writer import Writer

DAY_NS = 86_400 * 10**9
WIN = (101.0, 111.0, 100.0, 108.0)
LOSS = (99.0, 100.0, 94.0, 96.0)


@pytest.fixture
async def recorded(
    database: Database,
    writer: Writer,
    make_signal: Callable[..., Signal],
    make_bars: Callable[..., BarBatch],
    deliver: Callable[..., Delivery],
) -> list[Signal]:
    """Of A a win, a loss and a win, each on a day of its own; of B one open; all in blocks of shard 1."""
    lease = await leases.take(database, 4, 1, "one")
    made = [make_signal(0), make_signal(3, regime="BEAR"), make_signal(6), make_signal(2, symbol="B")]
    before = ""
    chained = []
    for number, one in enumerate(made, 1):
        given = make_signal(
            [0, 3, 6, 2][number - 1], symbol=one.symbol, regime=one.regime, prev_sha256=before
        )
        before = given.sha256
        chained.append(given)
        await writer.write(lease, [signal_row(lease, deliver(given, number))])
    for signal, day, bar in ((chained[0], 1, WIN), (chained[1], 4, LOSS), (chained[2], 7, WIN)):
        (outcome,) = OpenSignals(Costs(), [signal]).apply(10, make_bars(day, {"A": bar}))
        await writer.write(lease, [outcome_row(lease, record.stored_outcome(outcome, ""))])
    return chained


async def test_ended_signals_symbols_and_days(bus: Bus, database: Database, recorded: list[Signal]) -> None:
    await answers.register(bus, database, database)
    ended = (await bus.request("query.tracker.outcomes", {}))["outcomes"]
    assert [e["signal"] for e in ended] == [s.id for s in reversed(recorded[:3])]
    assert [(e["result"], e["regime"], e["confidence"]) for e in ended] == [
        ("win", "BULL", 81.25),
        ("loss", "BEAR", 81.25),
        ("win", "BULL", 81.25),
    ]
    # The history of the newest: a win and a loss; of the oldest: nothing, half of the points.
    assert ended[0]["score"] == ended[2]["score"]
    assert ended[1]["score"] < ended[0]["score"]
    seen, cursor = [], dict[str, Any]()
    while page := (await bus.request("query.tracker.outcomes", {"limit": 2, **cursor}))["outcomes"]:
        seen += [e["id"] for e in page]
        cursor = {"before": page[-1]["ts"], "before_id": page[-1]["id"]}
    assert seen == [e["id"] for e in ended]
    losses = (await bus.request("query.tracker.outcomes", {"result": "loss", "symbol": "A"}))["outcomes"]
    assert [e["signal"] for e in losses] == [recorded[1].id]
    assert (await bus.request("query.tracker.outcomes", {"symbol": "B"}))["outcomes"] == []
    with pytest.raises(InputError, match="result"):
        await bus.request("query.tracker.outcomes", {"result": "draw"})

    net = [10 - 0.17, -5 - 0.17, 10 - 0.17]
    (a, b) = (await bus.request("query.tracker.symbols", {}))["symbols"]
    assert (a["symbol"], a["signals"], a["open"], a["wins"], a["losses"]) == ("A", 3, 0, 2, 1)
    assert a["total_pnl_net"] == pytest.approx(sum(net))
    assert a["last_ts"] == recorded[2].ts
    assert (b["symbol"], b["open"], b["win_rate"], b["pnl_net"], b["total_pnl_net"]) == (
        "B",
        1,
        None,
        None,
        0,
    )
    (only,) = (await bus.request("query.tracker.symbols", {"after": "A", "limit": 1}))["symbols"]
    assert only["symbol"] == "B"

    found = await bus.request("query.tracker.performance", {})
    assert [d["net_r"] for d in found["days"]] == [2.0, -1.0, 2.0]
    assert [d["cumulative_net_r"] for d in found["days"]] == [2.0, 1.0, 3.0]
    assert found["days"][-1]["cumulative_pnl_net"] == pytest.approx(sum(net))
    assert found["max_drawdown_r"] == 1.0
    first = found["days"][0]
    assert (first["closed"], first["wins"]) == (1, 1)
    assert datetime.fromtimestamp(first["ts"] / 1e9, UTC).date().isoformat() == first["day"]
    part = await bus.request("query.tracker.performance", {"since": recorded[1].ts, "symbol": "A"})
    assert [d["net_r"] for d in part["days"]] == [-1.0, 2.0]


async def test_a_signal_is_proven(database: Database, recorded: list[Signal], postgres_url: str) -> None:
    middle = recorded[1]
    found = await prove(database, SignalQuery(id=middle.id))
    assert found.ok
    assert (found.previous, found.next) == (recorded[0].id, recorded[2].id)
    assert [step.name for step in found.checks] == ["hash", "row", "ledger", "previous", "next", "day"]
    assert found.checks[-1].ok is None
    assert found.block is not None
    assert found.block.number == 2

    await days.close(database, int((datetime.now(UTC) + timedelta(days=2)).timestamp()) * 10**9)
    found = await prove(database, SignalQuery(id=middle.id))
    assert found.ok
    assert all(step.ok for step in found.checks)
    proof = found.merkle
    assert proof is not None
    assert proof.root is not None
    nodes = [bytes.fromhex(node) for node in proof.proof]
    root = merkle.climb(bytes.fromhex(proof.leaf), proof.index, proof.leaves, nodes)
    assert root == bytes.fromhex(proof.root)

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE signals SET entry = 101 WHERE id = %s", (middle.id,))
    altered = await prove(database, SignalQuery(id=middle.id))
    assert not altered.ok
    assert [step.name for step in altered.checks if step.ok is False] == ["row"]
    assert "entry: 101.0, expected 100.0" in next(s.text for s in altered.checks if s.name == "row")

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM signals WHERE id = %s", (recorded[0].id,))
        connection.execute("DELETE FROM ledger WHERE record = 'signals' AND number = 4")
    orphan = await prove(database, SignalQuery(id=recorded[3].id))
    assert [(s.name, s.ok) for s in orphan.checks] == [("hash", True), ("ledger", False)]
    lonely = await prove(database, SignalQuery(id=middle.id))
    assert "previous" in [s.name for s in lonely.checks if s.ok is False]
    with pytest.raises(InputError, match="expected the id of a signal"):
        await prove(database, SignalQuery(id="no such"))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_a_path_leads_to_the_root_and_nothing_else_does(digests: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(digests) - 1))
    path = merkle.path(digests, index)
    root = merkle.root(digests)
    assert merkle.climb(digests[index], index, len(digests), path) == root
    other = bytes(32) if digests[index] != bytes(32) else bytes(31) + b"\x01"
    assert merkle.climb(other, index, len(digests), path) != root
    assert merkle.climb(digests[index], index, len(digests), [*path, other]) is None
    if path:
        assert merkle.climb(digests[index], index, len(digests), path[:-1]) is None
        wrong = [*path[:-1], bytes(a ^ 1 for a in path[-1])]
        assert merkle.climb(digests[index], index, len(digests), wrong) != root


@pytest.mark.parametrize(
    ("equity", "expected"), [([], 0.0), ([-1.0, -3.0], 3.0), ([2.0, 1.0, 4.0, 0.5, 3.0], 3.5)]
)
def test_drawdown_is_counted_from_the_highest_point(equity: list[float], expected: float) -> None:
    assert drawdown(equity) == expected
