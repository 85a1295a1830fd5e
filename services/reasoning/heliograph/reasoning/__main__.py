"""The process `heliograph-reasoning`."""

from heliograph.common.shell import run
from heliograph.reasoning.service import ReasoningService
from heliograph.reasoning.settings import ReasoningSettings


def main() -> None:
    """Run reasoning until it is told to stop."""
    run(ReasoningService, ReasoningSettings)


if __name__ == "__main__":
    main()
