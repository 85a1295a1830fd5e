"""The events of Heliograph: frozen facts, JSON on the wire, versioned by rules.

New fields need defaults; a field never changes its type. Times are UTC nanoseconds since 1970 as int.
`ts` is event time: for a bar its start, for a signal the close of the bar that made it.
"""

import hashlib
import math
from typing import Literal

import msgspec

Action = Literal["BUY", "SELL"]
Result = Literal["win", "loss", "expired"]
Regime = Literal["BULL", "BEAR", "CHOP", "CRISIS", "UNKNOWN"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", gc=False):
    """What every event has.

    Attributes:
        id: derived from the event's inputs, 16 hex digits.
        cause: the id of the event that caused this one; empty where the cause is outside.
        ts: event time, UTC, nanoseconds.
        v: version of the schema of this kind.
        received: when the platform received or made it, UTC nanoseconds; 0 where that is the same as `ts`.
    """

    id: str
    cause: str = ""
    ts: int
    v: int = 1
    received: int = 0


class BarBatch(Event, frozen=True, kw_only=True, tag="bars", gc=False):
    """Bars of many symbols of one shard for one interval and one start time, by columns.

    Attributes:
        interval: a name of `intervals.INTERVALS_NS`; `ts` is the start of the bars.
        symbols: one a row, each at most once.
        open: prices in quote currency; `high`, `low`, `close` likewise.
        volume: units traded in the bar.
        source: the provider, e.g. `replay` or `alpaca`.
        splits: symbol → new shares for each old one (2.0 for a two-for-one split): from this batch on its
            prices are in new shares. Left out where there is none; since version 2, which such a batch names.
    """

    interval: str
    symbols: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    source: str
    splits: dict[str, float] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        rows = len(self.symbols)
        for symbol, ratio in (self.splits or {}).items():
            if not (math.isfinite(ratio) and ratio > 0):
                raise ValueError(f"splits: {ratio!r} of {symbol}, expected a finite positive number")
        for name in ("open", "high", "low", "close", "volume"):
            if len(getattr(self, name)) != rows:
                raise ValueError(f"{name}: {len(getattr(self, name))} values, expected {rows}, one a symbol")


class VoteBatch(Event, frozen=True, kw_only=True, tag="votes", gc=False):
    """Votes of one dear source for symbols of one shard, by columns. `ts` is when the source was at work.

    A batch without rows is a sign of life: a source that is silent for long is taken for out of order.

    Attributes:
        source: its key, e.g. `sentiment`.
        symbols: one a row.
        direction: −1 short, 0 neutral, +1 long; 2 where the source was asked and abstains.
        confidence: 0–1.
        observed: event time of what the vote rests on, UTC nanoseconds; the latest counts.
    """

    source: str
    symbols: list[str]
    direction: list[int]
    confidence: list[float]
    observed: list[int]

    def __post_init__(self) -> None:
        rows = len(self.symbols)
        for name in ("direction", "confidence", "observed"):
            if len(getattr(self, name)) != rows:
                raise ValueError(f"{name}: {len(getattr(self, name))} values, expected {rows}, one a symbol")


class Tick(Event, frozen=True, kw_only=True, tag="tick", gc=False):
    """Event time has reached `ts` in this shard: deadlines up to it fall."""


class Enrich(Event, frozen=True, kw_only=True, tag="enrich", gc=False):
    """The cheap votes leave a signal possible: ask the sources of `tier` until `deadline` (event time).

    Attributes:
        bound: the most that the confidence can become, 0–100.
        sources: keys of those asked: of this tier, eligible, and not heard of this bar. Since version 2.
    """

    symbol: str
    tier: int
    deadline: int
    bound: float
    sources: list[str] | msgspec.UnsetType = msgspec.UNSET


class Vote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One source's part in a signal.

    Attributes:
        source: its key, e.g. `trend`.
        direction: −1 short, 0 neutral, +1 long.
        confidence: 0–1.
        weight: normalised over the sources that voted, 0–1.
        age_ns: event time between the vote and the signal.
    """

    source: str
    direction: int
    confidence: float
    weight: float
    age_ns: int = 0


class Signal(Event, frozen=True, kw_only=True, tag="signal", gc=False):
    """A trading signal. `id` derives from symbol, action, strategy, interval and bar, and from nothing else.

    Attributes:
        bar_ts: start of the bar that made it; `ts` is that bar's close.
        entry: prices in quote currency at the instrument's tick; `stop` and `target` likewise.
        confidence: calibrated probability of a win, 0–100, two decimals.
        raw_confidence: strength of the consensus, 0–100, two decimals.
        calibration: version of the calibration, `none` where the raw value passed through.
        view: the regime's enhanced view, which chose the weights.
        sources: keys of the sources that voted.
        agreement: share of the voting weight on the signal's side, 0–1.
        expected_r: p·reward/risk − (1−p).
        strategy: name and version of the weights, e.g. `default@1`.
        expires: event time after which it counts as expired.
        input_seq: sequence in INPUT of the batch that made it.
        sha256: over the canonical JSON of the identity fields, see `identity_sha256`.
        prev_sha256: the `sha256` of the shard's signal before it; empty for the first.
    """

    symbol: str
    action: Action
    entry: float
    stop: float
    target: float
    confidence: float
    raw_confidence: float
    regime: Regime
    view: Literal["TRENDING", "CONSOLIDATION", "VOLATILE", "UNKNOWN"]
    votes: list[Vote]
    sources: list[str]
    agreement: float
    expected_r: float
    strategy: str
    interval: str
    bar_ts: int
    expires: int
    input_seq: int
    sha256: str
    prev_sha256: str
    calibration: str = "none"

    def __post_init__(self) -> None:
        for name in ("entry", "stop", "target"):
            price = getattr(self, name)
            if not (math.isfinite(price) and price > 0):
                raise ValueError(f"{name}: {price!r}, expected a finite positive price")
        low, high = (self.stop, self.target) if self.action == "BUY" else (self.target, self.stop)
        if not low < self.entry < high:
            raise ValueError(
                f"entry: {self.entry} for {self.action}, expected between stop {self.stop} "
                f"and target {self.target}"
            )


class Reason(Event, frozen=True, kw_only=True, tag="reason", gc=False):
    """Why a signal was given, in two or three sentences with its prices filled in.

    Attributes:
        signal: id of the signal.
        provider: `template` or the model's provider.
        model: name of the model or of the template with its version.
        cost: US dollars; `tokens_in`, `tokens_out` as the provider counted them.
        latency_ns: of the call; 0 for a template.
        cached: the text came from the cache.
    """

    signal: str
    symbol: str
    text: str
    provider: str
    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    latency_ns: int = 0
    cached: bool = False


class Outcome(Event, frozen=True, kw_only=True, tag="outcome", gc=False):
    """How a signal ended, once and for ever. `ts` is the close of the bar that ended it.

    Attributes:
        signal: id of the signal; `opened` its event time.
        exit: price at the level, at the open after a gap, or at the close when expired; after a split in the
            shares of the signal's own prices, like `entry`.
        exit_bar_ts: start of the bar that ended it.
        pnl: percent of entry, signed by side, before costs; `pnl_net` after slippage, spread, commission.
        r_multiple: profit in units of the initial risk.
        bars: bars held, the last one included.
        best: best excursion in percent of entry, at least 0; `worst` the worst, at most 0.
        input_seq: sequence in INPUT of the batch that ended it.
    """

    signal: str
    symbol: str
    action: Action
    result: Result
    entry: float
    exit: float
    opened: int
    exit_bar_ts: int
    pnl: float
    pnl_net: float
    r_multiple: float
    bars: int
    best: float
    worst: float
    input_seq: int
    strategy: str


class AgentProgress(Event, frozen=True, kw_only=True, tag="agent_progress", gc=False):
    """One agent of a panel run has moved.

    Attributes:
        done: how many of the run's agents have ended, each once a ticker, of `total`. Since version 2.
        by: `rules`, or the provider that spoke by its `model`. Since version 3, as what follows.
        tokens_in: as the provider counted them, `tokens_out` likewise; 0 where the answer was `cached`.
        cost: US dollars of the answer; 0 of rules and where it was `cached`.
    """

    run: str
    agent: str
    ticker: str
    status: Literal["started", "done", "abstained"]
    detail: str = ""
    done: int | msgspec.UnsetType = msgspec.UNSET
    total: int | msgspec.UnsetType = msgspec.UNSET
    by: str | msgspec.UnsetType = msgspec.UNSET
    model: str | msgspec.UnsetType = msgspec.UNSET
    tokens_in: int | msgspec.UnsetType = msgspec.UNSET
    tokens_out: int | msgspec.UnsetType = msgspec.UNSET
    cost: float | msgspec.UnsetType = msgspec.UNSET
    cached: bool | msgspec.UnsetType = msgspec.UNSET


class Prediction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one agent of a panel said of a ticker, and on what grounds.

    Attributes:
        signal: `abstain` where it had no view: neither for nor against, and not neutral.
        confidence: 0–1; 0 of an abstention.
        reasoning: its words, or why it abstained.
        by: `rules`, or the provider of the model that spoke.
        note: why no model spoke, where one was asked.
        facts: the figures that it rests on, a JSON object.
        prompt: what its model was asked, `answer` what it said, both whole; empty where none was asked.
        model: the one that answered. Since version 3 of the verdict, as what follows.
        tokens_in: as its provider counted them, `tokens_out` likewise; 0 where the answer was `cached`.
        cost: US dollars of that answer.
        cached: it was kept from an earlier question, and has cost nothing now.
    """

    agent: str
    signal: Literal["bullish", "bearish", "neutral", "abstain"]
    confidence: float
    reasoning: str
    by: str
    note: str = ""
    facts: str = "{}"
    prompt: str = ""
    answer: str = ""
    model: str | msgspec.UnsetType = msgspec.UNSET
    tokens_in: int | msgspec.UnsetType = msgspec.UNSET
    tokens_out: int | msgspec.UnsetType = msgspec.UNSET
    cost: float | msgspec.UnsetType = msgspec.UNSET
    cached: bool | msgspec.UnsetType = msgspec.UNSET


class Verdict(Event, frozen=True, kw_only=True, tag="verdict", gc=False):
    """What a panel run says of one ticker (direction −1, 0, +1; conviction 0–1).

    Attributes:
        agents: how many had an opinion.
        action: what to do, `quantity` with how many shares, `reason` why. Since version 2, as what follows.
        asof: the day of the analysis, an ISO date: nothing later was known.
        verdicts: of how many tickers the run gives a verdict.
        predictions: of every analyst of the run, those included that abstained.
        answers: how many models have given, the portfolio manager's included; `cached` how many of
            them were kept from before. Since version 3, as what follows.
        tokens_in: of the answers that were not, `tokens_out` likewise; `cost` in US dollars.
    """

    run: str
    ticker: str
    direction: int
    conviction: float
    agents: int
    action: Literal["buy", "sell", "short", "cover", "hold"] | msgspec.UnsetType = msgspec.UNSET
    quantity: int | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    asof: str | msgspec.UnsetType = msgspec.UNSET
    verdicts: int | msgspec.UnsetType = msgspec.UNSET
    predictions: list[Prediction] | msgspec.UnsetType = msgspec.UNSET
    answers: int | msgspec.UnsetType = msgspec.UNSET
    cached: int | msgspec.UnsetType = msgspec.UNSET
    tokens_in: int | msgspec.UnsetType = msgspec.UNSET
    tokens_out: int | msgspec.UnsetType = msgspec.UNSET
    cost: float | msgspec.UnsetType = msgspec.UNSET


class Alert(Event, frozen=True, kw_only=True, tag="alert", gc=False):
    """Something needs a person, or no longer does.

    Attributes:
        name: what has happened; for those of the table of alerts its name there.
        summary: one line for people.
        labels: to what, e.g. `service` → `tracker`. Since version 2, as what follows.
        value: the figure that the alert is about, where there is one.
        since: when its condition began to hold, UTC nanoseconds.
        remedy: what to do.
    """

    name: str
    severity: Literal["warning", "critical"]
    status: Literal["firing", "resolved"]
    summary: str
    labels: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    value: float | msgspec.UnsetType = msgspec.UNSET
    since: int | msgspec.UnsetType = msgspec.UNSET
    remedy: str | msgspec.UnsetType = msgspec.UNSET


class DeadLetter(Event, frozen=True, kw_only=True, tag="dead", gc=False):
    """A message that could not be handled, whole, and why.

    Attributes:
        service: who gave up; `reason` why, naming field, value and expectation.
        subject: where it came from, with its `stream_seq`; 0 where it never was in a stream.
        payload: the message as it came (bytes, base64 in JSON).
        quarantine: true where bad data was refused at the edge (not a failure of a service).
        rows: how many bars or messages it stands for.
    """

    service: str
    reason: str
    subject: str
    payload: bytes
    stream_seq: int = 0
    quarantine: bool = False
    rows: int = 1


AnyEvent = (
    BarBatch
    | VoteBatch
    | Tick
    | Enrich
    | Signal
    | Reason
    | Outcome
    | AgentProgress
    | Verdict
    | Alert
    | DeadLetter
)
EVENT_TYPES: tuple[type[Event], ...] = AnyEvent.__args__

_encoder = msgspec.json.Encoder()


def encode(event: Event) -> bytes:
    """The JSON of an event, as it travels."""
    return _encoder.encode(event)


def identity_sha256(
    *,
    id: str,  # noqa: A002 - the field's name
    symbol: str,
    action: str,
    entry: float,
    target: float,
    stop: float,
    confidence: float,
    strategy: str,
    ts: int,
) -> str:
    """SHA-256 (hex) over the canonical JSON (sorted keys, no white space) of a signal's identity fields."""
    fields = {
        "action": action,
        "confidence": confidence,
        "entry": entry,
        "id": id,
        "stop": stop,
        "strategy": strategy,
        "symbol": symbol,
        "target": target,
        "ts": ts,
    }
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


def signal_sha256(signal: Signal) -> str:
    """The hash over a signal's identity fields that it must carry."""
    return identity_sha256(
        id=signal.id,
        symbol=signal.symbol,
        action=signal.action,
        entry=signal.entry,
        target=signal.target,
        stop=signal.stop,
        confidence=signal.confidence,
        strategy=signal.strategy,
        ts=signal.ts,
    )
