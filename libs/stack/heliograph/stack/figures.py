"""How far a stack has come, asked over the bus."""

from typing import Any

import msgspec

from heliograph.common.bus import Bus

STAGES = ("INPUT", "SIGNAL", "REASON", "OUTCOME")
"""The streams that a bar's consequences pass, in order."""
ANSWER_WITHIN_S = 1.0
"""How long a process may be busy before a look goes on without its answer."""
SHARDED = ("fetcher", "consensus", "reasoning", "tracker", "archiver")


class ShardProgress(msgspec.Struct, frozen=True):
    """What the fetcher says of one shard, in bars."""

    published: int
    total: int
    done: bool


class FetcherStatus(msgspec.Struct, frozen=True):
    """The fetcher's own part of its status; figures it may add are no concern here."""

    shards: dict[str, ShardProgress] = {}
    quarantined: dict[str, int] = {}


class Replica(msgspec.Struct, frozen=True):
    """What one process says of itself."""

    service: str
    member: str
    ready: bool
    shards: list[int] = []
    problems: dict[str, str] = {}
    probe: str = ""
    status: Any = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a stack.

    Attributes:
        bars_total: bars in the data folder, of the shards known so far; `bars_published` those in INPUT.
        quarantined: bars refused, by reason.
        fetched: every shard was replayed to its end.
        owned: every service has an owner for each shard.
        processes: services that were expected to answer.
        last: sequence of each stage's newest message.
        lag: messages of each stage that some reader has not yet made durable.
    """

    replicas: list[Replica]
    processes: int
    bars_total: int
    bars_published: int
    quarantined: dict[str, int]
    fetched: bool
    owned: bool
    last: dict[str, int]
    lag: dict[str, int]

    @property
    def idle(self) -> bool:
        """Nothing is left to do."""
        return self.fetched and self.owned and not any(self.lag.values())


async def look(bus: Bus, shards: int, processes: int | None = None) -> Figures:
    """Ask every process and every stream; a process that does not answer in time is left out.

    Args:
        bus: a connection.
        shards: of the stack.
        processes: how many services are expected to answer; without it the look takes `ANSWER_WITHIN_S`.

    Raises:
        UnavailableError: NATS does not answer.
    """
    answers = await bus.ask_all("status.all", {}, ANSWER_WITHIN_S, processes)
    said = [answer for answer in answers if "service" in answer]
    replicas = sorted(msgspec.convert(said, list[Replica]), key=lambda r: (r.service, r.member))
    last = {stage: await bus.last_seq(stage) for stage in STAGES}
    lag = {stage: sum((await bus.lag(stage)).values()) for stage in STAGES}
    fetchers = [fetcher_status(r) for r in replicas if r.service == "fetcher"]
    progress = {shard: p for fetcher in fetchers for shard, p in fetcher.shards.items()}
    quarantined: dict[str, int] = {}
    for fetcher in fetchers:
        for reason, count in fetcher.quarantined.items():
            quarantined[reason] = quarantined.get(reason, 0) + count
    return Figures(
        replicas=replicas,
        processes=processes or len(replicas),
        bars_total=sum(p.total for p in progress.values()),
        bars_published=sum(p.published for p in progress.values()),
        quarantined=quarantined,
        fetched=len(progress) == shards and all(p.done for p in progress.values()),
        owned=owned(replicas, shards),
        last=last,
        lag=lag,
    )


def fetcher_status(replica: Replica) -> FetcherStatus:
    """The typed part of a fetcher's status; nothing before it has started."""
    return msgspec.convert(replica.status or {}, FetcherStatus)


def owned(replicas: list[Replica], shards: int) -> bool:
    """Whether every sharded service has an owner for each shard."""
    by_service: dict[str, set[int]] = {}
    for replica in replicas:
        by_service.setdefault(replica.service, set()).update(replica.shards)
    return all(len(by_service.get(service, ())) == shards for service in SHARDED)
