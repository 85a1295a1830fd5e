"""Run the gateway: `python -m heliograph.gateway`."""

from heliograph.common.shell import run
from heliograph.gateway.service import GatewayService
from heliograph.gateway.settings import GatewaySettings


def main() -> None:
    """Run until told to stop."""
    run(GatewayService, GatewaySettings)


if __name__ == "__main__":
    main()
