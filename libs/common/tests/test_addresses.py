"""Symbols, subjects, shards, ids and intervals."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js import api

from heliograph.common import subjects
from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.ids import derive_id
from heliograph.common.intervals import INTERVALS_NS, interval_ns, interval_of
from heliograph.common.shards import owner_of, shard_of

printable = st.text(st.characters(exclude_categories=("C", "Z"), codec="utf-8"), min_size=1, max_size=16)


@pytest.mark.parametrize(
    ("symbol", "token"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK%2EB"),
        ("BTC/USD", "BTC/USD"),
        ("A B", "A%20B"),
        ("50%", "50%25"),
        ("a>*", "a%3E%2A"),
    ],
)
def test_a_symbol_becomes_one_token(symbol: str, token: str) -> None:
    assert subjects.encode_symbol(symbol) == token
    assert subjects.signal(3, symbol) == f"signal.3.{token}"


@given(printable)
def test_every_symbol_comes_back(symbol: str) -> None:
    token = subjects.encode_symbol(symbol)
    assert unquote(token) == symbol
    assert not set(token) & set(".*> \t\n")


@pytest.mark.parametrize("symbol", ["", "   ", "a\nb", "x" * 65, "\x00"])
def test_a_symbol_that_cannot_be_addressed_is_refused_by_name(symbol: str) -> None:
    with pytest.raises(InputError, match="symbol: "):
        subjects.check_symbol(symbol)


async def test_the_shard_is_the_one_that_the_server_computes(bus: Bus) -> None:
    symbols = ["AAPL", "MSFT", "NVDA", "TSLA", "BTC/USD", "A", "ZZZZ", "SPY"]
    await bus.js.add_stream(
        api.StreamConfig(
            name="PARTITIONED",
            subjects=["raw.*"],
            allow_direct=True,
            subject_transform=api.SubjectTransform(
                src="raw.*", dest="placed.{{partition(16,1)}}.{{wildcard(1)}}"
            ),
        )
    )
    for symbol in symbols:
        await bus.js.publish(f"raw.{symbol}", b"")
    found = [m.subject async for m in bus.read("PARTITIONED", "placed.>", after=0, upto=len(symbols))]
    assert found == [f"placed.{shard_of(s, 16)}.{s}" for s in symbols]


@given(st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=8), st.integers(0, 63))
def test_only_the_shards_of_a_member_that_leaves_move(members: set[str], shard: int) -> None:
    owner = owner_of(shard, members)
    assert owner in members
    for leaver in members - {owner}:
        assert owner_of(shard, members - {leaver}) == owner


def test_nobody_owns_a_shard_without_members() -> None:
    assert owner_of(0, []) is None


def test_ids_tell_their_parts_apart() -> None:
    assert derive_id("a", "bc") != derive_id("ab", "c")
    assert derive_id("signal", 1) == derive_id("signal", "1")
    assert len(derive_id("x")) == 16


@pytest.mark.parametrize(
    ("step_s", "name"), [(60, "1m"), (3600, "1h"), (86400, "1d"), (3 * 86400, "1d"), (1, "1m"), (700, "5m")]
)
def test_an_interval_is_found_from_the_step(step_s: int, name: str) -> None:
    assert interval_of(step_s * 1_000_000_000) == name


def test_an_unknown_interval_is_refused_with_the_known_ones() -> None:
    assert all(interval_ns(name) == length for name, length in INTERVALS_NS.items())
    with pytest.raises(InputError, match="'2d' is not one of 1m"):
        interval_ns("2d")
