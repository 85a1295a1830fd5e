"""The process `heliograph-fetcher`."""

from heliograph.common.shell import run
from heliograph.fetcher.service import FetcherService
from heliograph.fetcher.settings import FetcherSettings


def main() -> None:
    """Run the fetcher until it is told to stop."""
    run(FetcherService, FetcherSettings)


if __name__ == "__main__":
    main()
