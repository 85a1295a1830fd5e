"""Runs the tracker: `heliograph-tracker` or `python -m heliograph.tracker`."""

from heliograph.common.shell import run
from heliograph.tracker.service import TrackerService
from heliograph.tracker.settings import TrackerSettings


def main() -> None:
    """Run the service until it is told to stop."""
    run(TrackerService, TrackerSettings)


if __name__ == "__main__":
    main()
