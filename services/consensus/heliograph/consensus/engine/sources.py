"""Sources besides those of the kernel: plug-ins, the pattern source, and votes from outside."""

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from heliograph.common.errors import InputError
from heliograph.consensus.engine.columns import Columns
from heliograph.consensus.engine.layout import SOURCES, Floats, Integers, Symbol
from heliograph.consensus.engine.programs import address_of

When = Literal["never", "market hours", "always"]
LONGEST = 1e9
LETTERS_OF_A_STOCK = 5
_KEY = re.compile(r"[a-z0-9_.-]{1,32}")


def check_key(key: str, weight: float) -> None:
    """Refuse a source that cannot be named or weighed.

    Raises:
        InputError: its key or its weight is wrong.
    """
    if not _KEY.fullmatch(key) or key in SOURCES:
        raise InputError(f"key: {key!r}, expected 1 to 32 of a-z 0-9 _ . - and none of {', '.join(SOURCES)}")
    if not 0 <= weight <= 1:
        raise InputError(f"weight: {weight!r} of source {key}, expected 0 to 1")


class CheapSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source that is computed from bars by a pure function, for each batch after the kernel.

    Attributes:
        key: as in the configuration, in tables of weights and in signals.
        minimum_bars: from which it is eligible; symbols with fewer are not shown to it.
        weight: in views that do not name it.
        vote: directions (−1, 0, +1, or ABSTAIN) and confidences (0–1) of the rows of some columns, two arrays
            of shape (n,). No clock, no randomness, no memory, and each row by itself.

    Raises:
        InputError: a field is wrong.
    """

    key: str
    minimum_bars: int
    weight: float
    vote: Callable[[Columns], tuple[Integers, Floats]]

    def __post_init__(self) -> None:
        check_key(self.key, self.weight)
        if self.minimum_bars < 1:
            raise InputError(f"minimum_bars: {self.minimum_bars} of source {self.key}, expected at least 1")


class CompiledSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source that is computed from bars inside the kernel, bar by bar, as fast as the kernel's own.

    Attributes:
        key: as in the configuration, in tables of weights and in signals.
        minimum_bars: from which it is eligible; symbols with fewer are not shown to it.
        weight: in views that do not name it.
        vote: direction (−1, 0, +1, or ABSTAIN) and confidence (0–1) for the record of one symbol after its
            newest bar; a plain function that numba compiles, which reads and never writes.

    Raises:
        InputError: a field is wrong, or numba cannot compile the function.
    """

    key: str
    minimum_bars: int
    weight: float
    vote: Callable[[Symbol], tuple[int, float]]

    def __post_init__(self) -> None:
        check_key(self.key, self.weight)
        if self.minimum_bars < 1:
            raise InputError(f"minimum_bars: {self.minimum_bars} of source {self.key}, expected at least 1")
        address_of(self.vote)


class DearSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source whose votes come from outside, as `votes` on INPUT.

    Attributes:
        key: as in the configuration, in its batches of votes, in tables of weights and in signals.
        tier: what it costs: the cheapest are asked first; from 1.
        weight: in views that do not name it.
        fresh_s: age at the close of a bar up to which a vote counts.
        silence_s: after so long (or two bars, if that is longer) without any batch of its votes, an empty one
            included, it is taken for out of order and is not eligible.
        stocks: when it is eligible for stocks; `crypto` for pairs of currencies.
        asked: false where it is never asked: then it is eligible where a fresh vote is held, and only there.
        off_hours: what its weight is multiplied by while the stock market is closed.

    Raises:
        InputError: a field is wrong.
    """

    key: str
    tier: int
    weight: float
    fresh_s: float
    silence_s: float = 300.0
    stocks: When = "always"
    crypto: When = "always"
    asked: bool = True
    off_hours: float = 1.0

    def __post_init__(self) -> None:
        check_key(self.key, self.weight)
        if self.tier < 1:
            raise InputError(f"tier: {self.tier} of source {self.key}, expected at least 1")
        for name in ("fresh_s", "silence_s", "off_hours"):
            if not 0 < getattr(self, name) <= LONGEST:
                raise InputError(
                    f"{name}: {getattr(self, name)} of source {self.key}, expected a number above 0"
                )

    @property
    def needs_hours(self) -> bool:
        """Whether the hours of the stock market make a difference."""
        return "market hours" in (self.stocks, self.crypto) or self.off_hours != 1.0


class PatternSource(msgspec.Struct, frozen=True, kw_only=True):
    """The source of `recall`: computed in the engine, from bars and from what became of its own signals.

    Attributes:
        key: as in the configuration, in tables of weights and in signals.
        weight: in views that do not name it.
    """

    key: str = "pattern"
    weight: float = 0.15


OtherSource = CheapSource | CompiledSource | DearSource | PatternSource

PATTERN = PatternSource()

DEAR: dict[str, DearSource] = {
    source.key: source
    for source in (
        DearSource(key="sentiment", tier=2, weight=0.20, fresh_s=90, stocks="market hours"),
        DearSource(key="research", tier=3, weight=0.15, fresh_s=120, stocks="market hours", crypto="never"),
        DearSource(key="models", tier=3, weight=0.10, fresh_s=600, off_hours=2.0),
        DearSource(key="analysts", tier=4, weight=0.15, fresh_s=86_400, silence_s=86_400, asked=False),
    )
}
"""The sources that the project itself has votes of."""


def is_crypto(symbol: str) -> bool:
    """Whether a symbol is a pair of currencies: `BTC/USD`, `BTCUSD`, `ETH-USDT`; no stock has six letters."""
    if "/" in symbol:
        return True
    base = re.sub(r"(USDT|USDC|USD|EUR)$", "", symbol).rstrip("-")
    return base != symbol and len(symbol) > LETTERS_OF_A_STOCK and len(base) > 1
