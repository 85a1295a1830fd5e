"""The system as one picture: which replicas run, who owns which shard, how far each reader is behind."""

from collections import defaultdict

import msgspec
from nats.errors import Error as NatsError

from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.gateway.records import ConsumerLag, Replica, StreamState, System

STREAM_NAMES = ("INPUT", "SIGNAL", "REASON", "OUTCOME", "ANALYSIS", "ALERT", "SPAN", "DEAD")
WAIT_S = 0.5


async def look(bus: Bus) -> System:
    """Ask every replica and every stream.

    Raises:
        UnavailableError: JetStream does not answer.
    """
    answers = await bus.ask_all("status.all", {}, WAIT_S)
    replicas = [r for r in map(as_replica, answers) if r is not None]
    return System(
        shards=bus.settings.shards,
        replicas=sorted(replicas, key=lambda r: (r.service, r.member)),
        streams=[await state_of(bus, name) for name in STREAM_NAMES],
    )


def as_replica(answer: object) -> Replica | None:
    """A replica's answer; None where it is not one (an older version, a stranger on the subject)."""
    try:
        return msgspec.convert(answer, Replica)
    except msgspec.ValidationError:
        return None


async def state_of(bus: Bus, name: str) -> StreamState:
    """A stream's size and its readers.

    Raises:
        UnavailableError: JetStream does not answer.
    """
    try:
        state = (await bus.js.stream_info(name)).state
    except (NatsError, TimeoutError, OSError) as error:
        raise UnavailableError(f"stream {name}: {error!r}") from error
    return StreamState(
        name=name,
        messages=state.messages,
        bytes=state.bytes,
        consumers=by_service(await bus.lag(name)),
    )


def by_service(lags: dict[str, int]) -> list[ConsumerLag]:
    """Lags by durable consumer (`<service>-<shard>-<source>`, or without a shard), summed per service."""
    shards: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for durable, lag in lags.items():
        service, _, rest = durable.partition("-")
        first = rest.partition("-")[0]
        shard = first if first.isdecimal() else ""
        shards[service][shard] = shards[service].get(shard, 0) + lag
    return [
        ConsumerLag(service=service, lag=sum(each.values()), shards=each)
        for service, each in sorted(shards.items())
    ]
