"""What ending decisions early saves and loses, on the sample: `python -m benchmarks.early_exit`.

The bars are real; the votes from outside are not, since there is no record of any. Two sources are simulated
by a hash of symbol, bar and source: tier 2 with a weight of .20 and tier 3 with .15, each long in half of its
answers, neutral and short in a quarter, with a confidence of .60 to .95. They answer what they are asked, a
second later, and a tick comes after the answers.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import machine

from heliograph.common.events import BarBatch, Enrich, Signal, Tick, VoteBatch
from heliograph.common.ids import derive_id
from heliograph.common.intervals import interval_ns
from heliograph.consensus.engine import Engine, Rules, warm
from heliograph.consensus.engine.sources import DearSource
from heliograph.lab.folder import Folder

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
SECOND = 10**9
FOR_EVER_S = 1e9
SOURCES = (
    DearSource(key="news", tier=2, weight=0.20, fresh_s=60, silence_s=FOR_EVER_S),
    DearSource(key="study", tier=3, weight=0.15, fresh_s=60, silence_s=FOR_EVER_S),
)
BY_TIER = {source.tier: source.key for source in SOURCES}
VARIANTS = {
    "nothing ends early": Rules(early_exit=False),
    "the exact bound": Rules(),
    "and 50 partial": Rules(partial_exit=50),
    "and 60 to continue": Rules(continue_exit=60),
    "and both": Rules(partial_exit=50, continue_exit=60),
}


def batches() -> Iterator[BarBatch]:
    """The sample through the quality gate, in the order of its times."""
    folder = Folder(SAMPLE)
    replay = folder.replay(folder.symbols, 1)
    for position in range(replay.plan.batches(0)):
        yield replay.plan.bars(0, position, "replay", 0)


def answer(request: Enrich, source: str) -> tuple[int, float]:
    """Direction and confidence; the same whenever the same is asked."""
    drawn = int(derive_id("answer", request.symbol, source, request.ts), 16)
    return (1, 1, 0, -1)[drawn % 4], 0.60 + (drawn >> 8) % 36 / 100


def votes_on(requests: list[Enrich], ts: int) -> Iterator[VoteBatch]:
    """The answers, a batch for each source that was asked."""
    for tier, source in BY_TIER.items():
        asked = [request for request in requests if request.tier == tier]
        if not asked:
            continue
        votes = [answer(request, source) for request in asked]
        yield VoteBatch(
            id=derive_id("votes", source, ts, tier),
            ts=ts,
            source=source,
            symbols=[request.symbol for request in asked],
            direction=[direction for direction, _ in votes],
            confidence=[confidence for _, confidence in votes],
            observed=[ts] * len(asked),
        )


def run(bars: list[BarBatch], rules: Rules) -> tuple[list[Signal], int]:
    """The signals, and how many answers were asked for."""
    engine = Engine(rules=rules, others=SOURCES)
    signals: list[Signal] = []
    asked = 0
    for source in SOURCES:
        engine.apply_votes(
            VoteBatch(
                id="", ts=bars[0].ts, source=source.key, symbols=[], direction=[], confidence=[], observed=[]
            ),
            1,
        )
    for batch in bars:
        ts = batch.ts + interval_ns(batch.interval)
        signals += engine.apply(batch, 1)
        while engine.requests:
            ts += SECOND
            asked += len(engine.requests)
            for votes in votes_on(engine.requests, ts):
                engine.apply_votes(votes, 1)
            signals += engine.apply_tick(Tick(id=derive_id("tick", ts), ts=ts), 1)
    return signals, asked


def main() -> None:
    """Print the table."""
    warm(SOURCES)
    bars = list(batches())
    count = sum(len(batch.symbols) for batch in bars)
    print(f"early exit: {machine()}, {time.strftime('%Y-%m-%d', time.gmtime())}, ", end="")
    print("python -m benchmarks.early_exit")
    print(f"{count:,} bars of the sample; simulated votes, see the module")
    print(f"{'':<20} {'answers':>9} {'a 1k bars':>10} {'signals':>9} {'lost':>7} {'gained':>7}")
    whole: set[str] = set()
    for name, rules in VARIANTS.items():
        signals, asked = run(bars, rules)
        ids = {signal.id for signal in signals}
        whole = whole or ids
        lost, gained = len(whole - ids), len(ids - whole)
        print(f"{name:<20} {asked:>9,} {1000 * asked / count:>10.0f} {len(ids):>9,} {lost:>7,} {gained:>7,}")


if __name__ == "__main__":
    main()
