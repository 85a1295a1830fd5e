"""The live path in one process: the consensus engine and the tracker's open signals, batch by batch."""

from collections.abc import Iterator

from heliograph.common.clock import NANOSECONDS
from heliograph.common.events import BarBatch, Outcome, Signal, Tick, VoteBatch
from heliograph.common.ids import derive_id
from heliograph.fetcher.load import Replay
from heliograph.lab.strategy import Strategy
from heliograph.lab.votes import Votes
from heliograph.tracker.closing import Costs
from heliograph.tracker.engine import OpenSignals

SOURCE = "replay"
BARS, VOTES, TICK = range(3)


def run_live(
    replay: Replay, shards: int, strategy: Strategy, costs: Costs, votes: Votes | None = None
) -> tuple[list[Signal], dict[str, Outcome]]:
    """All signals of a replay in the order of shards, and the outcomes by the id of their signal.

    The very objects that the services run, fed the batches that the fetcher would publish in that order; what
    lies between (the bus, the stores) is left out. Recorded votes come at their times, each followed by a
    tick, as one who answers sends it; and a tick comes at each deadline, as the fetcher sends it.
    """
    signals: list[Signal] = []
    outcomes: dict[str, Outcome] = {}
    for shard in range(shards):
        engine = strategy.engine()
        following = OpenSignals(costs)
        for seq, event in enumerate(inputs(replay, shard, strategy, votes), 1):
            made: list[Signal] = []
            if isinstance(event, BarBatch):
                for outcome in following.apply(seq, event):
                    outcomes[outcome.signal] = outcome
                made = engine.apply(event, seq)
            elif isinstance(event, Tick):
                made = engine.apply_tick(event, seq)
            else:
                engine.apply_votes(event, seq)
            for signal in made:
                following.add(signal)
            signals += made
    return signals, outcomes


def inputs(
    replay: Replay, shard: int, strategy: Strategy, votes: Votes | None
) -> Iterator[BarBatch | VoteBatch | Tick]:
    """What a shard's INPUT holds, in order."""
    plan = replay.plan
    if votes is None:
        for position in range(plan.batches(shard)):
            yield plan.bars(shard, position, SOURCE, 0)
        return
    closes = plan.closes(shard).tolist()
    batches = list(votes.batches(replay.plan.table.symbols, strategy.keys))
    wait = int(strategy.rules.wait_s * NANOSECONDS)
    ticks = {batch.ts for batch in batches} | {close + wait for close in closes}
    due = [(close, BARS, position) for position, close in enumerate(closes)]
    due += [(batch.ts, VOTES, place) for place, batch in enumerate(batches)]
    due += [(ts, TICK, 0) for ts in ticks]
    for ts, kind, place in sorted(due):
        if kind == BARS:
            yield plan.bars(shard, place, SOURCE, 0)
        elif kind == VOTES:
            yield batches[place]
        else:
            yield Tick(id=derive_id("tick", shard, ts), ts=ts)
