"""The live path in one process: the consensus engine and the tracker's open signals, batch by batch."""

from heliograph.common.events import Outcome, Signal
from heliograph.fetcher.load import Replay
from heliograph.lab.strategy import Strategy
from heliograph.tracker.closing import Costs
from heliograph.tracker.engine import OpenSignals

SOURCE = "replay"


def run_live(
    replay: Replay, shards: int, strategy: Strategy, costs: Costs
) -> tuple[list[Signal], dict[str, Outcome]]:
    """All signals of a replay in the order of shards, and the outcomes by the id of their signal.

    The very objects that the services run, fed the batches that the fetcher would publish in that order; what
    lies between (the bus, the stores) is left out.
    """
    signals: list[Signal] = []
    outcomes: dict[str, Outcome] = {}
    for shard in range(shards):
        engine = strategy.engine()
        following = OpenSignals(costs)
        for position in range(replay.plan.batches(shard)):
            batch = replay.plan.bars(shard, position, SOURCE, 0)
            for outcome in following.apply(position + 1, batch):
                outcomes[outcome.signal] = outcome
            for signal in engine.apply(batch, position + 1):
                following.add(signal)
                signals.append(signal)
    return signals, outcomes
