"""What the API answers on operations: spending, panel runs, proofs, alerts, health, and who asks."""

from datetime import date
from typing import Annotated, Literal

import msgspec

from heliograph.common.events import AgentProgress, Verdict

Scope = Literal["read", "run", "admin"]
MAX_TICKERS = 20
MAX_POSITIONS = 200


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: whether a token is needed, the token's name, and what it may do."""

    auth: Literal["off", "token"]
    name: str
    scopes: list[Scope]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's budget today, US dollars over all replicas."""

    name: str
    limit: float
    reserved: float
    spent: float
    left: float
    resets_ts: int


class PurposeUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one purpose has taken of a provider."""

    calls: int
    cached: int
    cost: float


class ProviderUse(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's use today; `p95_s` in seconds, null before a call."""

    provider: str
    model: str
    calls: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float
    failures: int
    breaker: str
    p95_s: float | None = None
    purposes: dict[str, PurposeUse] = {}


class DayUse(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the month, US dollars."""

    day: str
    total: float
    calls: int
    signals: int


class MonthUse(msgspec.Struct, frozen=True, kw_only=True):
    """The month up to today, US dollars."""

    month: str
    total: float
    signals: int
    cost_per_signal: float | None
    days: list[DayUse]


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """Today's spending (UTC) on models, US dollars; rates are null before they have a meaning."""

    day: str
    currency: str
    total: float
    resets_ts: int
    alone: bool
    budgets: list[Budget]
    providers: list[ProviderUse]
    signals: int
    cost_per_signal: float | None
    calls_per_signal: float | None
    hit_rate: float | None
    month: MonthUse | None = None


Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Shares = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Name = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z]{1,40}$")]


class Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of one ticker held long and sold short."""

    long: Shares = 0
    short: Shares = 0


class Portfolio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cash in US dollars, the share of a short sale that must be there in cash, positions by ticker."""

    cash: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 100_000.0
    margin_requirement: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    positions: Annotated[dict[Text, Position], msgspec.Meta(max_length=MAX_POSITIONS)] = {}


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the panel is asked: companies by ticker, from which day on, as of which day, by which analysts.

    `portfolio` is what is held: the risk manager and the portfolio manager heed it.
    """

    tickers: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=MAX_TICKERS)]
    start: date | None = msgspec.field(default=None, name="from")
    asof: date | None = msgspec.field(default=None, name="to")
    agents: Annotated[list[Text], msgspec.Meta(max_length=32)] = []
    portfolio: Portfolio | None = None
    run: Name | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the panel: `done` of `total` agents have ended. Times are wall times; `cost` US dollars."""

    run: str
    tickers: list[str]
    agents: list[str]
    done: int
    total: int
    started_ts: int
    ended_ts: int | None = None
    state: Literal["running", "done", "failed", "lost"]
    cost: float = 0.0
    calls: int = 0
    seconds: float = 0.0
    error: str = ""


class StartedRun(Run, frozen=True, kw_only=True):
    """A run that has begun, and where to follow it."""

    stream: str


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, newest first."""

    runs: list[Run]


class RunDetail(Run, frozen=True, kw_only=True):
    """A run with every agent that has ended, and the verdicts."""

    progress: list[AgentProgress]
    verdicts: list[Verdict]


class ProofStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at; `ok` is null where it cannot be said yet."""

    name: str
    ok: bool | None
    text: str


class BlockName(msgspec.Struct, frozen=True, kw_only=True):
    """The block of the ledger that names a signal."""

    record: str
    shards: int
    shard: int
    number: int
    link: str


class MerkleProof(msgspec.Struct, frozen=True, kw_only=True):
    """That a signal is a leaf under its day's root (RFC 6962); `root` is null until the day is over."""

    day: str
    root: str | None
    leaves: int
    index: int
    leaf: str
    proof: list[str]


class SignalProof(msgspec.Struct, frozen=True, kw_only=True):
    """One signal against the ledger; `ok` when nothing speaks against it."""

    id: str
    ok: bool
    sha256: str
    prev_sha256: str
    previous: str | None
    next: str | None
    checks: list[ProofStep]
    block: BlockName | None
    merkle: MerkleProof | None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was looked at, how it is, and what was seen."""

    level: int
    name: str
    state: Literal["pass", "fail", "skipped"]
    detail: str


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """All checks up to a level; `fail` when one fails."""

    status: Literal["pass", "fail"]
    level: int
    checks: list[Check]


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as its newest event tells it: what fires, on what (`labels`), and what to do (`remedy`).

    `since_ts` is when it began, `ended_ts` when it was over, UTC nanoseconds; `value` the figure it is about.
    """

    id: str
    name: str
    severity: Literal["warning", "critical"]
    state: Literal["firing", "resolved"]
    summary: str
    labels: dict[str, str]
    value: float | None
    remedy: str
    since_ts: int
    ended_ts: int | None


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, those that fire first, then the newest first."""

    alerts: list[AlertRecord]
