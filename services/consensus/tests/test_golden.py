"""The signals of the sample, fixed by a hash: a change of one is a change of the strategy."""

import hashlib
import json
from pathlib import Path

from heliograph.common.events import BarBatch
from heliograph.consensus.engine import Engine

GOLDEN = Path(__file__).parent / "golden" / "sample.json"


def test_the_sample_gives_its_signals(sample: list[BarBatch]) -> None:
    engine = Engine()
    ids: list[str] = []
    for seq, batch in enumerate(sample, 1):
        ids += [signal.id for signal in engine.apply(batch, seq)]
    found = {
        "strategy": "default@2",
        "counts": engine.counts,
        "open": engine.open_signals,
        "ids_sha256": hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest(),
        "chain_head": engine.head,
    }
    assert len(set(ids)) == len(ids)
    assert found == json.loads(GOLDEN.read_text())
