"""How the open signals stand: each replica of the tracker answers for its shards, who asks adds them up."""

import asyncio
from collections.abc import Iterable

import msgspec
from nats.errors import Error as NatsError

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.events import Action

SUBJECT = "query.tracker.open"
WITHIN_S = 5.0
"""For the replicas to answer; shards of which nothing has come by then are named as missing."""
MOST = 100
"""Signals that are told one by one, at most; the sums are over all."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How an open signal stands.

    Attributes:
        last: close of its last bar, in the shares of the signal's own prices; `ts` when that bar closed.
        pnl: percent of entry, signed by side, before costs; `best` and `worst` so far likewise.
        r_multiple: the same in units of the initial risk.
        bars: bars held.
    """

    signal: str
    symbol: str
    action: Action
    entry: float
    stop: float
    target: float
    opened: int
    expires: int
    last: float
    ts: int
    pnl: float
    r_multiple: float
    best: float
    worst: float
    bars: int


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Over some open signals: how many, how many with a gain so far, and the sums of pnl and R multiple."""

    total: int = 0
    ahead: int = 0
    pnl: float = 0.0
    r_multiple: float = 0.0


class OpenShard(msgspec.Struct, frozen=True, kw_only=True):
    """The open signals of one shard, as its owner knows them.

    Attributes:
        position: sequence in INPUT that they have seen: of two who answer for a shard the further one counts.
        sums: over all of them; `newest` the newest first, as many as were asked for.
    """

    position: int
    sums: Sums
    newest: list[Position]


class OpenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica says, by shard."""

    shards: dict[int, OpenShard]


class Standing(Sums, frozen=True, kw_only=True):
    """All open signals: their sums, the newest of them, and the shards of which nobody has told."""

    positions: list[Position]
    missing_shards: list[int]


_answer = msgspec.json.Decoder(OpenAnswer)


async def standing(bus: Bus, *, symbol: str | None = None, limit: int = MOST) -> Standing:
    """How the open signals stand now, the newest first, at most `limit`; of one symbol or of all.

    Raises:
        UnavailableError: no tracker answers.
    """
    shards = bus.settings.shards
    body = msgspec.json.encode({"limit": limit} if symbol is None else {"limit": limit, "symbol": symbol})
    inbox = bus.client.new_inbox()
    found: dict[int, OpenShard] = {}
    try:
        subscription = await bus.client.subscribe(inbox)
        try:
            await bus.client.publish(SUBJECT, body, reply=inbox)
            async with asyncio.timeout(WITHIN_S):
                while len(found) < shards:
                    message = await subscription.next_msg(WITHIN_S)
                    if not message.data:  # the server says that nobody is there
                        break
                    take(found, message.data)
        finally:
            await subscription.unsubscribe()
    except (TimeoutError, NatsError, OSError) as error:
        if not found:
            raise UnavailableError(f"{SUBJECT}: {error!r}") from error
    if not found:
        raise UnavailableError(f"{SUBJECT}: no tracker answers")
    return together(found, shards, limit)


def take(found: dict[int, OpenShard], data: bytes) -> None:
    """Take what a replica says of its shards; what is no answer is passed over."""
    try:
        told = _answer.decode(data).shards
    except msgspec.DecodeError:
        return
    for shard, each in told.items():
        if shard not in found or each.position > found[shard].position:
            found[shard] = each


def together(found: dict[int, OpenShard], shards: int, limit: int) -> Standing:
    """The shards as one."""
    sums = added(each.sums for each in found.values())
    every = [position for each in found.values() for position in each.newest]
    every.sort(key=lambda position: (-position.opened, position.signal))
    return Standing(
        **msgspec.structs.asdict(sums),
        positions=every[:limit],
        missing_shards=sorted(set(range(shards)) - found.keys()),
    )


def added(parts: Iterable[Sums]) -> Sums:
    """The sums of all parts."""
    total, ahead, pnl, r_multiple = 0, 0, 0.0, 0.0
    for part in parts:
        total, ahead = total + part.total, ahead + part.ahead
        pnl, r_multiple = pnl + part.pnl, r_multiple + part.r_multiple
    return Sums(total=total, ahead=ahead, pnl=pnl, r_multiple=r_multiple)
