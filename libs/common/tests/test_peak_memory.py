"""The most memory that a process has held, as Prometheus reads it."""

import json
import subprocess
import sys

LARGE = 100_000_000
PROGRAM = f"""
from prometheus_client import REGISTRY
from heliograph.common import peak_memory
peak_memory.tell()
read = lambda: REGISTRY.get_sample_value("heliograph_peak_memory_bytes")
told = [read()]
held = b"x" * {LARGE}
told.append(read())
del held
told.append(read())
print(told)
"""


def test_the_peak_rises_with_what_is_held_and_does_not_fall_with_what_is_let_go() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, highest, after = json.loads(done.stdout)
    assert 0.9 * LARGE < highest - before < 1.2 * LARGE
    assert after - before > 0.9 * LARGE  # the system counts it by the page, and not to the last one
