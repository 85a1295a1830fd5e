from heliograph.archiver.service import ArchiverService
from heliograph.archiver.settings import ArchiverSettings
from heliograph.common.shell import run


def main() -> None:
    """Run the archiver as this process."""
    run(ArchiverService, ArchiverSettings)


if __name__ == "__main__":
    main()
