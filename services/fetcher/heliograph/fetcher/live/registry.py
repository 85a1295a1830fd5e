"""The providers of live bars by their names in the setting `provider`."""

from heliograph.common.clock import Clock
from heliograph.fetcher.live.provider import Factory, LiveProvider
from heliograph.fetcher.settings import FetcherSettings


def massive(settings: FetcherSettings, clock: Clock) -> LiveProvider:
    """Minute bars of stocks by the WebSocket of Massive."""
    from heliograph.fetcher.live.massive import MassiveProvider  # noqa: PLC0415 - a replay needs none of it

    return MassiveProvider(settings, clock)


def massive_polling(settings: FetcherSettings, clock: Clock) -> LiveProvider:
    """Minute bars of stocks and of pairs of currencies by polling Massive's snapshots."""
    from heliograph.fetcher.live.polling import PollingProvider  # noqa: PLC0415 - a replay needs none of it

    return PollingProvider(settings, clock)


def kraken(settings: FetcherSettings, clock: Clock) -> LiveProvider:
    """Minute bars of pairs of currencies by the WebSocket of Kraken, without an account."""
    from heliograph.fetcher.live.kraken import KrakenProvider  # noqa: PLC0415 - a replay needs none of it

    return KrakenProvider(settings, clock)


LIVE: dict[str, Factory] = {"kraken": kraken, "massive": massive, "massive-polling": massive_polling}
