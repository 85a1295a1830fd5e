"""What the API answers on results: outcomes, symbols, days, calibrations, sources."""

from typing import Any, Literal

import msgspec

from heliograph.common.events import Outcome

Grade = Literal["EXCELLENT", "HIGH", "GOOD", "FAIR", "POOR"]


class EndedSignal(Outcome, frozen=True, kw_only=True, tag="outcome", gc=False):
    """An outcome with what its signal had promised; `score` (0–100) and `grade`: its quality when given."""

    confidence: float
    raw_confidence: float
    regime: str
    score: float
    grade: Grade


class OutcomePage(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes, the newest end first."""

    outcomes: list[EndedSignal]


class SymbolStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What the tracker says of one symbol; the means and rates are null before they have a meaning."""

    symbol: str
    signals: int
    open: int
    outcomes: int
    wins: int
    losses: int
    expired: int
    win_rate: float | None
    r_multiple: float | None
    pnl_net: float | None
    total_pnl_net: float
    last_ts: int


class SymbolRecord(SymbolStanding, frozen=True, kw_only=True):
    """A symbol with its newest archived close; null where the archive has none or is away."""

    last_close: float | None = None
    last_close_ts: int | None = None


class StandingPage(msgspec.Struct, frozen=True, kw_only=True):
    """The tracker's page of symbols."""

    symbols: list[SymbolStanding]


class SymbolPage(msgspec.Struct, frozen=True, kw_only=True):
    """Symbols in the order of their names."""

    symbols: list[SymbolRecord]


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """The newest close of a symbol and the start of its bar, UTC nanoseconds."""

    close: float
    ts: int


class Closes(msgspec.Struct, frozen=True, kw_only=True):
    """The archive's newest closes, by symbol."""

    closes: dict[str, Close]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one group of signals, as `heliograph outcomes` shows them."""

    key: str
    signals: int
    open: int
    overdue: int
    outcomes: int
    wins: int
    losses: int
    expired: int
    win_rate: float | None
    coverage: float | None
    profit_factor: float | None
    pnl_net: float | None
    r_multiple: float | None
    bars: float | None


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Groups, the largest first."""

    groups: list[Group]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What ended on one day (UTC), and the sums up to it; `net_r` before costs, `pnl_net` after them."""

    day: str
    ts: int
    closed: int
    wins: int
    losses: int
    expired: int
    net_r: float
    pnl_net: float
    cumulative_net_r: float
    cumulative_pnl_net: float


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which signals ended, and the deepest fall of the cumulative R."""

    days: list[Day]
    max_drawdown_r: float


class Performance(Days, frozen=True, kw_only=True):
    """What became of the signals: over all (null without any), by their properties, and by day."""

    statistics: Group | None
    by_regime: list[Group]
    by_bucket: list[Group]
    by_action: list[Group]
    by_strategy: list[Group]


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts from `low` to `high`, all percent; `win_low`, `win_high` bound the win rate (95 %)."""

    low: float
    high: float
    count: int
    forecast: float | None
    win_rate: float | None
    win_low: float | None = None
    win_high: float | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How well forecasts agreed with what happened; the scores are of probabilities 0–1."""

    count: int
    brier: float
    ece: float
    log_loss: float
    forecast: float
    win_rate: float
    bins: list[Bin]
    buckets: list[Bin]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy's calibration in use: its curve (`raw` to `win`, percent), its trial, what came since."""

    strategy: str
    version: str
    since: int
    until: int
    outcomes: int
    symbols: int
    raw: list[float]
    win: list[float]
    trained: str
    trial: dict[str, Figures]
    refused: int
    days: int
    published: dict[str, Figures | None]


class Calibrations(msgspec.Struct, frozen=True, kw_only=True):
    """One entry a strategy; none before the first was taken."""

    calibrations: list[Calibration]


class VoteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a source's votes came to; `hit_rate` 0–1 with its 95 % interval, `expectancy` in R."""

    votes: int
    right: int
    wrong: int
    expired: int
    neutral: int
    hit_rate: float | None
    low: float | None
    high: float | None
    expectancy: float | None


class SourceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One source of votes, over all regimes and by each; `newest` is the newest outcome's event time."""

    source: str
    newest: int
    all: VoteRecord
    regimes: dict[str, VoteRecord]


class SourceList(msgspec.Struct, frozen=True, kw_only=True):
    """The tracker's sources, those with most votes first."""

    sources: list[SourceRecord]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of bars as one fetcher sees it; `gaps` is null where the fetcher does not count them."""

    provider: str
    member: str
    state: str
    done: bool
    gaps: Any = None


class Sources(SourceList, frozen=True, kw_only=True):
    """The sources of votes and the providers of bars."""

    providers: list[Provider]
