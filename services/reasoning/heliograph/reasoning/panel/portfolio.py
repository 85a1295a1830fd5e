"""What is held, and what the rules of risk and of trading allow."""

import msgspec

from heliograph.common.errors import InputError


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of one ticker held long and sold short, both at least 0."""

    long: int = 0
    short: int = 0

    def __post_init__(self) -> None:
        for name in ("long", "short"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)}, expected 0 or more")


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Cash and positions.

    Attributes:
        margin_requirement: share of a short sale that must be there in cash (0.5 by Regulation T).
    """

    cash: float = 100_000.0
    margin_requirement: float = 0.5
    positions: dict[str, Position] = {}

    def __post_init__(self) -> None:
        if not self.cash >= 0:
            raise ValueError(f"cash: {self.cash}, expected 0 or more")
        if not 0 < self.margin_requirement <= 1:
            raise ValueError(f"margin_requirement: {self.margin_requirement}, expected above 0, at most 1")

    def position(self, ticker: str) -> Position:
        """What is held of a ticker."""
        return self.positions.get(ticker, Position())

    def net_liquidation(self, prices: dict[str, float]) -> float:
        """Cash, and what everything held would bring.

        Raises:
            InputError: something is held whose price is not known.
        """
        total = self.cash
        for ticker, position in self.positions.items():
            if position.long == position.short:
                continue
            if ticker not in prices:
                raise InputError(f"positions: {ticker} is held, expected its price among the data")
            total += (position.long - position.short) * prices[ticker]
        return total


class PanelRules(msgspec.Struct, frozen=True, kw_only=True):
    """How opinions become an action.

    Attributes:
        weights: of each agent in the conviction; 1 where not named.
        act_beyond: conviction below which nothing is done.
    """

    weights: dict[str, float] = {}
    act_beyond: float = 0.1

    def __post_init__(self) -> None:
        for agent, weight in self.weights.items():
            if not weight >= 0:
                raise ValueError(f"weights: {weight} for {agent}, expected 0 or more")
        if not 0 <= self.act_beyond <= 1:
            raise ValueError(f"act_beyond: {self.act_beyond}, expected 0 to 1")
