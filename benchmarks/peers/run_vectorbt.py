"""vectorbt on the rule of two averages, all series as one table."""
# mypy: ignore-errors
# Its library is in the peers' own environment.

import pandas as pd
import vectorbt as vbt
from measuring import COMMISSION, FAST, SLIPPAGE, SLOW, best, days, paths, tell


def main() -> None:
    """Measure and print."""
    closes = paths()[:, :, 3].T
    close = pd.DataFrame(closes, days(len(closes)))

    def run() -> float:
        fast, slow = vbt.MA.run(close, FAST), vbt.MA.run(close, SLOW)
        entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
        costs = {"fees": COMMISSION, "slippage": SLIPPAGE}
        made = vbt.Portfolio.from_signals(close, entries, exits, freq="1D", **costs)
        return float(made.total_return().mean())

    tell("vectorbt", close.size, best(run))


if __name__ == "__main__":
    main()
