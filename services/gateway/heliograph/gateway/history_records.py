"""What the API answers out of the archive: sums of a period that ends with the newest day of the data."""

import msgspec


class DailySignals(msgspec.Struct, frozen=True, kw_only=True):
    """Signals of one event day (UTC), and their mean confidence."""

    day: str
    buys: int
    sells: int
    confidence: float


class SymbolPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """What ended of one symbol: `win_rate` is wins of all that ended, `pnl_net` and `r` are sums."""

    symbol: str
    outcomes: int
    wins: int
    losses: int
    expired: int
    win_rate: float
    pnl_net: float
    r: float


class ConfidenceBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Ended signals by ten points of confidence, from `bucket` on; `confidence` is their mean."""

    bucket: int
    outcomes: int
    wins: int
    win_rate: float
    confidence: float


class SourcePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Votes of one source on signals that won or lost: with them, against them, and how many were right."""

    source: str
    votes: int
    agreed: int
    opposed: int
    correct: int
    hit_rate: float


class SpendHour(msgspec.Struct, frozen=True, kw_only=True):
    """What reasons cost in one hour of event time, US dollars, by provider."""

    hour: str
    provider: str
    calls: int
    cost: float
    tokens_in: int
    tokens_out: int


class SpendDay(msgspec.Struct, frozen=True, kw_only=True):
    """The same of one event day, by provider and model."""

    day: str
    provider: str
    model: str
    calls: int
    cost: float
    tokens_in: int
    tokens_out: int


class SpendSignal(msgspec.Struct, frozen=True, kw_only=True):
    """What the reason of one signal cost."""

    signal: str
    symbol: str
    provider: str
    model: str
    cost: float
    tokens_in: int
    tokens_out: int
