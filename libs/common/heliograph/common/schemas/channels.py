"""Which events travel where: the one table from which the documents of the events are made."""

import msgspec

from heliograph.common.events import (
    AgentProgress,
    Alert,
    BarBatch,
    DeadLetter,
    Enrich,
    Event,
    Outcome,
    Reason,
    Signal,
    Tick,
    Verdict,
    VoteBatch,
)

PARAMETERS: dict[str, str] = {
    "shard": "FNV-1a (32 bit) of the symbol's UTF-8 bytes, modulo the number of shards.",
    "symbol": "The symbol with `.`, `*`, `>`, `%` and white space percent-encoded: `BRK.B` is `BRK%2EB`.",
    "service": "The service that wrote the message.",
    "run": "Id of a panel run.",
    "agent": "Key of an agent of the panel.",
    "alert": "Name of the alert.",
}


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A family of subjects.

    Attributes:
        address: the subject, with `{parameter}` for each token that varies; keys of `PARAMETERS`.
        events: what its messages hold.
        stream: the stream that stores them.
        writers: the services that publish there.
        summary: what it is for, in one line.
    """

    address: str
    events: tuple[type[Event], ...]
    stream: str
    writers: tuple[str, ...]
    summary: str

    @property
    def parameters(self) -> list[str]:
        """The tokens of the subject that vary, in order."""
        return [token[1:-1] for token in self.address.split(".") if token.startswith("{")]

    @property
    def name(self) -> str:
        """The fixed part of the subject, e.g. `input.bars`."""
        return ".".join(token for token in self.address.split(".") if not token.startswith("{"))

    @property
    def wildcard(self) -> str:
        """The subject filter that matches the whole family."""
        return ".".join("*" if token.startswith("{") else token for token in self.address.split("."))


CHANNELS: tuple[Channel, ...] = (
    Channel(
        address="input.bars.{shard}",
        events=(BarBatch,),
        stream="INPUT",
        writers=("fetcher",),
        summary="Bars that passed the quality gate, by columns.",
    ),
    Channel(
        address="input.votes.{shard}",
        events=(VoteBatch,),
        stream="INPUT",
        writers=("fetcher", "reasoning"),
        summary="Votes of the dear sources, by columns.",
    ),
    Channel(
        address="input.tick.{shard}",
        events=(Tick,),
        stream="INPUT",
        writers=("fetcher", "reasoning"),
        summary="The progress of event time, on which deadlines fall.",
    ),
    Channel(
        address="request.{shard}",
        events=(Enrich,),
        stream="REQUEST",
        writers=("consensus",),
        summary="Symbols that are worth asking the dear sources for.",
    ),
    Channel(
        address="signal.{shard}.{symbol}",
        events=(Signal,),
        stream="SIGNAL",
        writers=("consensus",),
        summary="Trading signals.",
    ),
    Channel(
        address="reason.{shard}.{symbol}",
        events=(Reason,),
        stream="REASON",
        writers=("reasoning",),
        summary="Why each signal was given.",
    ),
    Channel(
        address="outcome.{shard}.{symbol}",
        events=(Outcome,),
        stream="OUTCOME",
        writers=("tracker",),
        summary="How each signal ended.",
    ),
    Channel(
        address="analysis.{run}.{agent}",
        events=(AgentProgress, Verdict),
        stream="ANALYSIS",
        writers=("reasoning",),
        summary="Progress and verdicts of panel runs.",
    ),
    Channel(
        address="alert.{alert}",
        events=(Alert,),
        stream="ALERT",
        writers=("gateway",),
        summary="What needs a person, and what no longer does.",
    ),
    Channel(
        address="dead.{service}.{shard}",
        events=(DeadLetter,),
        stream="DEAD",
        writers=("fetcher", "consensus", "reasoning", "tracker", "archiver"),
        summary="Messages given up and data refused at the edge, whole, each with its reason.",
    ),
)
