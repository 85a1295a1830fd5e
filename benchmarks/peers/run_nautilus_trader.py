"""nautilus_trader on the rule of two averages, a series at a time; its data are loaded off the clock."""
# mypy: ignore-errors
# Its library is in the peers' own environment.

import time
from decimal import Decimal

from measuring import FAST, ROUNDS, SLOW, tables, tell
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

INSTRUMENT = TestInstrumentProvider.equity(symbol="PEER", venue="XNAS")
BARS = BarType.from_str(f"{INSTRUMENT.id}-1-DAY-LAST-EXTERNAL")


class Cross(Strategy):
    """Long while the fast average is above the slow one."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig())
        self.fast, self.slow = SimpleMovingAverage(FAST), SimpleMovingAverage(SLOW)

    def on_start(self) -> None:
        """Ask for bars."""
        self.register_indicator_for_bars(BARS, self.fast)
        self.register_indicator_for_bars(BARS, self.slow)
        self.subscribe_bars(BARS)

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002 - the hook's signature
        """One bar."""
        if not self.slow.initialized:
            return
        if self.fast.value > self.slow.value:
            if self.portfolio.is_flat(INSTRUMENT.id):
                bought = Quantity.from_int(100)
                self.submit_order(self.order_factory.market(INSTRUMENT.id, OrderSide.BUY, bought))
        elif self.portfolio.is_net_long(INSTRUMENT.id):
            self.close_all_positions(INSTRUMENT.id)


def seconds_of(bars: list[Bar]) -> float:
    """Processor seconds that one series takes."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=Venue("XNAS"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(1_000_000_000, USD)],
        default_leverage=Decimal(1),
    )
    engine.add_instrument(INSTRUMENT)
    engine.add_data(bars)
    engine.add_strategy(Cross())
    started = time.process_time()
    engine.run()
    spent = time.process_time() - started
    engine.dispose()
    return spent


def main() -> None:
    """Measure and print."""
    series = tables(["open", "high", "low", "close", "volume"])
    loaded = [
        BarDataWrangler(BARS, INSTRUMENT).process(table.round(2).tz_localize("UTC")) for table in series
    ]
    rounds = [sum(map(seconds_of, loaded)) for _ in range(ROUNDS + 1)]
    tell("nautilus_trader", sum(map(len, loaded)), min(rounds))


if __name__ == "__main__":
    main()
