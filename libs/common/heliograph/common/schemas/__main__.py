"""`python -m heliograph.common.schemas FOLDER` writes the documents of the events."""

import argparse
import sys
from pathlib import Path

from heliograph.common.schemas.files import write


def main() -> None:
    """Write the documents into the folder that the command line names, and name each on stdout."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.common.schemas", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="usually docs/events")
    for path in write(parser.parse_args().folder):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
