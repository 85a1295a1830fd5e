"""How good a signal looks when it is given: a score from 0 to 100 in five parts. Pure.

| part | points | full at |
|---|---|---|
| confidence | 40 | 100 |
| agreement | 20 | every voting weight on the signal's side |
| regime | 15 | BUY in BULL, SELL in BEAR; half in CHOP and UNKNOWN, a quarter in CRISIS, none against it |
| history | 15 | the symbol won all that ended in the 30 days before; half where none did |
| reward | 10 | reward of three times the risk |
"""

from typing import Literal

import msgspec

from heliograph.common.events import Signal
from heliograph.tracker.statistics import win_rate

Grade = Literal["EXCELLENT", "HIGH", "GOOD", "FAIR", "POOR"]
CONFIDENCE, AGREEMENT, REGIME, HISTORY, REWARD = 40.0, 20.0, 15.0, 15.0, 10.0
GRADES: tuple[tuple[float, Grade], ...] = ((85, "EXCELLENT"), (75, "HIGH"), (65, "GOOD"), (50, "FAIR"))
FAVOURED = {"BULL": "BUY", "BEAR": "SELL"}
UNDECIDED = {"CHOP": 0.5, "UNKNOWN": 0.5, "CRISIS": 0.25}
FULL_REWARD = 3.0
HISTORY_NS = 30 * 86_400 * 10**9
DECIMALS = 2


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a signal, 0–100, its grade, and the points of each part."""

    score: float
    grade: Grade
    confidence: float
    agreement: float
    regime: float
    history: float
    reward: float


def quality(signal: Signal, wins: int, losses: int) -> Quality:
    """The quality of a signal whose symbol had so many wins and losses in the 30 days before it."""
    favoured = FAVOURED.get(signal.regime)
    fits = UNDECIDED[signal.regime] if favoured is None else float(signal.action == favoured)
    won = win_rate(wins, losses)
    ratio = abs(signal.target - signal.entry) / abs(signal.entry - signal.stop)
    parts = {
        "confidence": CONFIDENCE * signal.confidence / 100.0,
        "agreement": AGREEMENT * signal.agreement,
        "regime": REGIME * fits,
        "history": HISTORY * (0.5 if won is None else won),
        "reward": REWARD * min(ratio / FULL_REWARD, 1.0),
    }
    score = round(sum(parts.values()), DECIMALS)
    grade: Grade = next((name for least, name in GRADES if score >= least), "POOR")
    return Quality(
        score=score, grade=grade, **{name: round(points, DECIMALS) for name, points in parts.items()}
    )
