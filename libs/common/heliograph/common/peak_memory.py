"""The most memory that this process has held."""

import re
import resource
from pathlib import Path

from heliograph.common import metrics

STATUS = Path("/proc/self/status")
HIGHEST = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_memory() -> int:
    """Bytes, resident, since the process began its program.

    On Linux from /proc, since `getrusage` counts what its parent held when it was forked.
    """
    try:
        found = HIGHEST.search(STATUS.read_text(encoding="ascii"))
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tell() -> None:
    """Give it to whoever reads the metrics, as of that moment."""
    metrics.PEAK_MEMORY.set_function(peak_memory)
