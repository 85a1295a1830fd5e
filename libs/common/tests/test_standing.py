"""How open signals stand, put together from what replicas say of their shards."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.standing import (
    SUBJECT,
    OpenAnswer,
    OpenShard,
    Position,
    Sums,
    standing,
    take,
    together,
)


def position(number: int, opened: int) -> Position:
    return Position(
        signal=f"{number:016x}",
        symbol="AAPL",
        action="BUY",
        entry=100.0,
        stop=97.0,
        target=106.0,
        opened=opened,
        expires=99,
        last=101.5,
        ts=opened + 1,
        pnl=1.5,
        r_multiple=0.5,
        best=2.0,
        worst=-1.0,
        bars=1,
    )


def shard(at: int, *newest: Position) -> OpenShard:
    count = len(newest)
    sums = Sums(total=count, ahead=count, pnl=1.5 * count, r_multiple=0.5 * count)
    return OpenShard(position=at, sums=sums, newest=list(newest))


def answer(**shards: OpenShard) -> bytes:
    return msgspec.json.encode(OpenAnswer(shards={int(name[1:]): each for name, each in shards.items()}))


def test_the_newest_come_first_and_the_sums_are_over_all() -> None:
    found = {0: shard(5, position(1, 30), position(2, 10)), 2: shard(7, position(3, 20))}
    whole = together(found, 4, 2)
    assert [each.opened for each in whole.positions] == [30, 20]
    assert (whole.total, whole.ahead, whole.pnl, whole.r_multiple) == (3, 3, 4.5, 1.5)
    assert whole.missing_shards == [1, 3]


def test_of_two_owners_the_one_who_has_seen_more_counts() -> None:
    """A former owner answers for a while yet; and what is no answer is none."""
    found: dict[int, OpenShard] = {}
    for data in (answer(_0=shard(9, position(1, 3))), answer(_0=shard(8), _1=shard(2)), b'{"error": "no"}'):
        take(found, data)
    assert {number: (each.position, each.sums.total) for number, each in found.items()} == {
        0: (9, 1),
        1: (2, 0),
    }


async def test_replicas_answer_for_their_shards(bus: Bus) -> None:
    with pytest.raises(UnavailableError, match="no tracker answers"):
        await standing(bus)
    shards = bus.settings.shards
    first = {f"_{n}": shard(1) for n in range(shards - 1)}

    def saying(data: bytes) -> Callable[[bytes], Awaitable[bytes]]:
        async def reply(body: bytes) -> bytes:
            assert msgspec.json.decode(body) == {"limit": 5, "symbol": "AAPL"}
            return data

        return reply

    await bus.respond(SUBJECT, saying(answer(**first)))
    await bus.respond(SUBJECT, saying(answer(**{f"_{shards - 1}": shard(1, position(1, 3))})))
    await bus.settled()
    whole = await standing(bus, symbol="AAPL", limit=5)
    assert (whole.total, whole.missing_shards) == (1, [])
    assert whole.positions[0].r_multiple == 0.5
