"""The kernel on disk: filled by `--warm`, found by the next process, and never older than its sources."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.events import BarBatch
from heliograph.consensus.__main__ import main
from heliograph.consensus.engine import Engine, compilation
from heliograph.consensus.engine.judge import absorb_rows, close_rows, judge
from heliograph.consensus.engine.kernel import step
from heliograph.consensus.engine.programs import ask_rows
from heliograph.consensus.engine.recall import recall_rows
from heliograph.consensus.engine.sources import DEAR, PATTERN

COUNT_LOADS = """
from heliograph.consensus.engine import warm
from heliograph.consensus.engine.kernel import step
warm()
print(sum(step.stats.cache_hits.values()), sum(step.stats.cache_misses.values()))
"""


def test_the_first_process_fills_the_cache_for_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    fill = "from heliograph.consensus.engine import warm; warm()"
    subprocess.run([sys.executable, "-c", fill], env=environment, check=True)
    assert list(tmp_path.rglob("*.nbc"))
    found = subprocess.run(
        [sys.executable, "-c", COUNT_LOADS], env=environment, check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == ["1", "0"]


def test_warming_leaves_nothing_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the kernels that any set of sources needs: each has the one signature that batches have."""
    monkeypatch.setattr(sys, "argv", ["heliograph-consensus", "--warm"])
    main()
    engine = Engine(others=[PATTERN, DEAR["analysts"]])
    assert engine.symbols == 0
    kernels: list[Any] = [step, close_rows, absorb_rows, judge, recall_rows, ask_rows]
    assert [len(kernel.signatures) for kernel in kernels] == [1] * len(kernels)


def test_one_signature_serves_every_batch(walk: Callable[..., list[BarBatch]]) -> None:
    """A second one would be a second compilation in the middle of the work."""
    engine = Engine()
    for symbols in (1, 20, 300):
        engine.apply(walk(1, [f"S{n}" for n in range(symbols)], 1)[0], 1)
    restored = Engine()
    restored.restore(engine.snapshot())
    restored.apply(walk(1, ["A"], 1)[0], 2)
    assert len(step.signatures) == 1  # type: ignore[attr-defined]


def test_the_fingerprint_follows_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compilation.fingerprint()
    assert step.__qualname__.endswith(before)
    folder = Path(compilation.__file__).parent
    for source in folder.glob("*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(compilation, "__file__", str(tmp_path / "compilation.py"))
    assert compilation.fingerprint() == before
    votes = tmp_path / "votes.py"
    votes.write_text(votes.read_text().replace("rules.trend_base", "rules.trend_base + 1"))
    assert compilation.fingerprint() != before
