"""backtesting.py on the rule of two averages, a series at a time."""
# mypy: ignore-errors
# Its library is in the peers' own environment.

import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from measuring import COMMISSION, FAST, SLIPPAGE, SLOW, best, tables, tell


def average(values: pd.Series, count: int) -> pd.Series:
    """The mean of the newest closes."""
    return pd.Series(values).rolling(count).mean()


class Cross(Strategy):
    """Long while the fast average is above the slow one."""

    def init(self) -> None:
        """Prepare the averages."""
        self.fast = self.I(average, self.data.Close, FAST)
        self.slow = self.I(average, self.data.Close, SLOW)

    def next(self) -> None:
        """One bar."""
        if crossover(self.fast, self.slow):
            self.buy()
        elif crossover(self.slow, self.fast):
            self.position.close()


def main() -> None:
    """Measure and print."""
    series = tables(["Open", "High", "Low", "Close", "Volume"])
    chosen = {"cash": 1_000_000_000, "commission": COMMISSION, "spread": SLIPPAGE, "finalize_trades": True}

    def run() -> None:
        for table in series:
            Backtest(table, Cross, **chosen).run()

    tell("backtesting", sum(map(len, series)), best(run))


if __name__ == "__main__":
    main()
