"""Who may do what on the bus: one user of NATS a service, with the rights that its work needs and no others.

`ROLES` is the one table. The embedded server's configuration and `deploy/nats/users.conf` are made from it;
`permissions_file` writes them. A new subject, stream or bucket of a service is a new entry here.
"""

from collections.abc import Iterator

import msgspec

from heliograph.common.subjects import STREAMS

OPERATOR = "operator"
SUBSCRIBER = "subscriber"
REGION = "region"
"""The server of another region, which follows this platform; only a platform with regions has this user."""
ORIGIN_DOMAIN = "main"
"""JetStream's domain of the platform that regions follow."""
COPIES_SENT_TO = "mirror"
"""First part of the subjects on which copies go to a region."""
ANY = ">"
KEPT_BUCKETS = ("members", "leases", "positions")
"""Key-value buckets of the platform; each service writes only under its own name in them."""
CALIBRATIONS = "calibrations"
ALERTS = "alerts"
CHECKPOINTS = "checkpoints"
TOLD = ("status.all", "status.metrics")
"""What every member answers: how it is, and what it measures."""
EVENTS = ("SIGNAL", "REASON", "OUTCOME")
"""What outsiders subscribe to."""
ALL_STREAMS = tuple(stream.name for stream in STREAMS)
BUCKETS = (*KEPT_BUCKETS, CALIBRATIONS, ALERTS)
MADE = (*ALL_STREAMS, *(f"KV_{bucket}" for bucket in BUCKETS), f"OBJ_{CHECKPOINTS}")
"""Streams that whoever starts first makes; making one again changes nothing, and nobody may alter one."""


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """What one service does on the bus.

    Attributes:
        publishes: subjects of its events.
        hears: core subjects that it subscribes to, beside those that every service has.
        answers: subjects of requests that come to it; `asks` those of its own.
        looks: streams whose messages and figures it may read.
        consumers: by stream, the durable consumers that are its own; `{shard}` stands for each shard.
        sharded: whether it shares shards, or one task, with its replicas.
        writes_keys: buckets beside the platform's in which it may write any key; `reads_keys` likewise.
        objects: buckets of the object store that are its own.
    """

    publishes: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    consumers: dict[str, tuple[str, ...]] = {}
    sharded: bool = True
    writes_keys: tuple[str, ...] = ()
    reads_keys: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()


ROLES: dict[str, Role] = {
    "fetcher": Role(
        publishes=("input.bars.*", "input.votes.*", "input.tick.*"),
        looks=("INPUT", "DEAD"),
    ),
    "consensus": Role(
        publishes=("signal.*.*", "request.*", "handled.consensus.*"),
        asks=("query.tracker.pattern_cases",),
        looks=("INPUT", "SIGNAL"),
        consumers={"INPUT": ("consensus-{shard}-bars",)},
        reads_keys=(CALIBRATIONS,),
        objects=(CHECKPOINTS,),
    ),
    "reasoning": Role(
        publishes=("reason.*.*", "analysis.*.*", "input.votes.*", "input.tick.*"),
        answers=("analyze", "query.reasoning.*"),
        looks=("SIGNAL", "INPUT", "ANALYSIS"),
        consumers={"SIGNAL": ("reasoning-{shard}-signals",), "REQUEST": ("reasoning-{shard}-requests",)},
    ),
    "tracker": Role(
        publishes=("outcome.*.*",),
        hears=("handled.consensus.*",),
        answers=("query.tracker.*",),
        asks=("query.archiver.bars",),
        looks=("INPUT", "ANALYSIS"),
        consumers={
            "SIGNAL": ("tracker-{shard}-signals",),
            "REASON": ("tracker-{shard}-reasons",),
            "INPUT": ("tracker-{shard}-bars",),
            "ANALYSIS": ("tracker-predictions",),
        },
        writes_keys=(CALIBRATIONS,),
        reads_keys=(CALIBRATIONS,),
    ),
    "archiver": Role(
        answers=("query.archiver.*",),
        looks=("SIGNAL", "REASON", "OUTCOME", "INPUT", "SPAN"),
        consumers={
            "SIGNAL": ("archiver-{shard}-signals",),
            "REASON": ("archiver-{shard}-reasons",),
            "OUTCOME": ("archiver-{shard}-outcomes",),
            "INPUT": ("archiver-{shard}-votes", "archiver-{shard}-bars"),
            "SPAN": ("archiver-spans",),
        },
    ),
    "gateway": Role(
        publishes=("alert.*",),
        hears=("signal.>", "reason.>", "outcome.>", "analysis.>", "alert.>"),
        answers=("query.gateway.*",),
        asks=("query.tracker.*", "query.archiver.*", "query.reasoning.*", "analyze", *TOLD),
        looks=ALL_STREAMS,
        consumers={"ALERT": ("*",)},
        writes_keys=(ALERTS,),
        reads_keys=(ALERTS,),
    ),
}


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """The subjects that a user may publish to and subscribe to; a denied one is not allowed after all."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    publish_denied: tuple[str, ...] = ()


def inbox(user: str) -> str:
    """The prefix of a user's inboxes, in which no other user can listen."""
    return f"_INBOX_{user}"


def permissions(user: str, shards: int) -> Permissions:
    """What a user may do on a platform with so many shards.

    Raises:
        KeyError: there is no such user.
    """
    if user == OPERATOR:
        return Permissions(publish=(ANY,), subscribe=(ANY,))
    if user == SUBSCRIBER:
        return _subscriber(shards)
    if user == REGION:
        return _region()
    role = ROLES[user]
    publish = [*role.publishes, *role.asks, f"span.{user}", "trace.keep", f"dead.{user}.*"]
    publish += [f"{inbox(asker)}.>" for asker in askers(user)]
    for stream in MADE:
        publish += [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.CREATE.{stream}"]
    publish += [f"$JS.API.STREAM.DELETE.{stream.name}" for stream in STREAMS if stream.passing]
    for stream in role.looks:
        publish += [f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.CONSUMER.LIST.{stream}"]
    publish += _keys(user, role)
    for stream, durable in own_consumers(user, shards):
        publish += _of_consumer(stream, durable)
    hears = [*role.hears, *role.answers, "trace.keep", *TOLD, f"status.{user}", f"{inbox(user)}.>"]
    return Permissions(publish=tuple(publish), subscribe=tuple(hears))


def askers(user: str) -> list[str]:
    """The users that may ask a service something, so that it must reach their inboxes."""
    answered = (*ROLES[user].answers, *TOLD, f"status.{user}")
    found = [
        asker for asker, role in ROLES.items() if any(overlap(a, b) for a in role.asks for b in answered)
    ]
    return [*found, OPERATOR]


def own_consumers(user: str, shards: int) -> Iterator[tuple[str, str]]:
    """Each stream and durable consumer that belongs to a service."""
    for stream, names in ROLES[user].consumers.items():
        for name in names:
            for shard in range(shards if "{shard}" in name else 1):
                yield stream, name.format(shard=shard)


def overlap(left: str, right: str) -> bool:
    """Whether some subject matches both patterns."""
    a, b = left.split("."), right.split(".")
    for one, other in zip(a, b, strict=False):
        if ">" in (one, other):
            return True
        if one != other and "*" not in (one, other):
            return False
    return len(a) == len(b)


def _of_consumer(stream: str, name: str) -> list[str]:
    """Everything that the owner of a durable consumer does with it."""
    verbs = ("INFO", "CREATE", "DURABLE.CREATE", "MSG.NEXT", "UNPIN", "RESET")
    rights = [f"$JS.API.CONSUMER.{verb}.{stream}.{name}" for verb in verbs]
    return [*rights, f"$JS.API.CONSUMER.CREATE.{stream}.{name}.>", f"$JS.ACK.{stream}.{name}.>"]


def _keys(user: str, role: Role) -> Iterator[str]:
    """The keys and objects of a service."""
    if role.sharded:
        for bucket in KEPT_BUCKETS:
            own = f"$KV.{bucket}.{user}.*"
            yield from (own, f"$JS.API.DIRECT.GET.KV_{bucket}.{own}")
        # Who lives and who holds a lease is no secret: it is asked for all keys of the service at once.
        yield from (f"$JS.API.DIRECT.GET.KV_{bucket}" for bucket in ("members", "leases"))
    for bucket in role.reads_keys:
        yield from (f"$JS.API.DIRECT.GET.KV_{bucket}", f"$JS.API.DIRECT.GET.KV_{bucket}.>")
    yield from (f"$KV.{bucket}.*" for bucket in role.writes_keys)
    for bucket in role.objects:
        stream = f"OBJ_{bucket}"
        yield f"$O.{bucket}.>"
        # An object is found by its subject and read by an unnamed consumer; one that is replaced is purged.
        yield "$JS.API.STREAM.NAMES"
        yield from (f"$JS.API.{verb}.{stream}" for verb in ("CONSUMER.CREATE", "STREAM.PURGE", "DIRECT.GET"))
        yield from (f"$JS.API.DIRECT.GET.{stream}.>", f"$JS.API.STREAM.MSG.GET.{stream}")
        yield from (f"$JS.API.CONSUMER.DELETE.{stream}.*", f"$JS.FC.{stream}.>")


def _subscriber(shards: int) -> Permissions:
    """Signals, reasons and outcomes, live and stored; no consumer of a service.

    Clients of any make are welcome, so the inboxes are those that they take by themselves.
    Only consumers with a name can be made: the request for an unnamed one can name another in its body, and
    would alter that one.
    """
    allowed, denied = ["$JS.API.INFO", "$JS.API.STREAM.NAMES"], []
    for stream in EVENTS:
        allowed += [f"$JS.API.STREAM.{verb}.{stream}" for verb in ("INFO", "MSG.GET")]
        allowed += [f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}.>", f"$JS.FC.{stream}.>"]
        allowed += [f"$JS.API.CONSUMER.CREATE.{stream}.*", f"$JS.API.CONSUMER.CREATE.{stream}.*.>"]
        allowed += [f"$JS.API.CONSUMER.{verb}.{stream}.*" for verb in ("INFO", "MSG.NEXT", "DELETE")]
        allowed.append(f"$JS.ACK.{stream}.>")
    for service in ROLES:
        for stream, name in own_consumers(service, shards):
            if stream in EVENTS:
                verbs = ("CREATE", "MSG.NEXT", "DELETE")
                denied += [f"$JS.API.CONSUMER.{verb}.{stream}.{name}" for verb in verbs]
                denied += [f"$JS.API.CONSUMER.CREATE.{stream}.{name}.>", f"$JS.ACK.{stream}.{name}.>"]
    events = tuple(f"{stream.lower()}.>" for stream in EVENTS)
    return Permissions(
        publish=tuple(allowed),
        subscribe=(*events, "_INBOX.>", f"{inbox(SUBSCRIBER)}.>"),
        publish_denied=tuple(denied),
    )


def _region() -> Permissions:
    """What outsiders subscribe to, live and as copies of the streams.

    A server that copies a stream makes a consumer without a name, which could name another in its body.
    Unlike a subscriber a region is one of the platform's own.
    """
    allowed: list[str] = []
    for stream in EVENTS:
        allowed.append(f"$JS.{ORIGIN_DOMAIN}.API.CONSUMER.CREATE.{stream}")
        allowed += [f"$JS.FC.{stream}.>", f"$JS.FC.{ORIGIN_DOMAIN}.*.{stream}.>"]
    events = tuple(f"{stream.lower()}.>" for stream in EVENTS)
    return Permissions(publish=tuple(allowed), subscribe=(*events, f"{COPIES_SENT_TO}.>", "$JSC.R.>"))


USERS = (*ROLES, SUBSCRIBER, OPERATOR)
