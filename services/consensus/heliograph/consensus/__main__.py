"""Running the service; with `--warm` only its kernels are compiled and kept on disk."""

import sys

from heliograph.common.shell import run
from heliograph.consensus.engine import warm
from heliograph.consensus.engine.sources import DEAR, PATTERN
from heliograph.consensus.service import ConsensusService
from heliograph.consensus.settings import ConsensusSettings


def main() -> None:
    """Run the service, or fill the kernel's cache."""
    if sys.argv[1:] == ["--warm"]:
        warm()
        warm([DEAR["analysts"], PATTERN])
        return
    run(ConsensusService, ConsensusSettings)


if __name__ == "__main__":
    main()
