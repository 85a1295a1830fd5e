"""What a whole stack must come to, from the pure engines alone."""

from pathlib import Path

from tests.running import Summary

from heliograph.lab.backtest import Job, run
from heliograph.lab.strategy import live_strategy


def by_engines(data: Path) -> Summary:
    """What a stack must make of a folder: the same engines on it, in this process and undisturbed."""
    result = run(Job(folder=data, strategy=live_strategy()))
    ended = int((result.trades["result"] != 0).sum())
    return {
        "bars": result.bars,
        "signals": len(result.ids),
        "reasons": len(result.ids),
        "outcomes": ended,
        "open": len(result.ids) - ended,
        "dead": 0,
        "quarantined": result.refused,
        "signals_sha256": result.signals_sha256,
    }
