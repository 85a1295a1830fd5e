"""`make bench`: every benchmark one after another, each as a process of its own."""

import subprocess
import sys

BENCHMARKS = (
    "kernel",
    "early_exit",
    "burst",
    "sustained",
    "latency",
    "startup",
    "page",
    "postgres",
    "clickhouse",
    "archive",
    "backtest",
    "calibration",
    "pattern",
    "reasons",
    "panel",
    "gateway",
)


def main() -> int:
    """Run those named as arguments, or all; 1 when one failed."""
    wanted = sys.argv[1:] or BENCHMARKS
    unknown = sorted(set(wanted) - set(BENCHMARKS))
    if unknown:
        sys.stderr.write(f"benchmark: {', '.join(unknown)}, expected some of {', '.join(BENCHMARKS)}\n")
        return 2
    codes = [
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        for name in wanted
    ]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
