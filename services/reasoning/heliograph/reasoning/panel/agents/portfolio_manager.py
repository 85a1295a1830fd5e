"""From opinions and limits to one action a ticker: conviction requests, risk disposes."""

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from heliograph.reasoning.panel.agents.risk import Limit
from heliograph.reasoning.panel.opinion import Opinion, View
from heliograph.reasoning.panel.portfolio import PanelRules, Portfolio

NAME = "portfolio_manager"
LONGEST = 100
"""Characters of a reason."""

Action = Literal["buy", "sell", "short", "cover", "hold"]
ASKED: dict[int, tuple[Action, ...]] = {1: ("cover", "buy"), 0: (), -1: ("sell", "short")}
"""The actions of a direction, the first legal one is taken."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with one ticker.

    Attributes:
        conviction: weighted mean of sign × confidence over the opinions, −1 to +1; None where all abstained.
        agents: how many opinions it rests on; `abstained` how many had none.
        quantity: shares, by the rules alone; 0 for hold.
        direction: −1, 0, +1: the side of a conviction strong enough to act on, whether there is room or not.
        legal: the actions that position, cash and limit allow, with the most shares of each.
    """

    ticker: str
    action: Action
    quantity: int
    conviction: float | None
    agents: int
    abstained: int
    reason: str
    legal: dict[Action, int] = {}
    direction: int
    by: str = "rules"


def conviction(views: Iterable[View], rules: PanelRules) -> float | None:
    """Σ weight·sign·confidence ÷ Σ weight over the agents that have an opinion; None without any.

    A neutral opinion is in the denominator and pulls towards 0; an abstention is in neither.
    """
    opinions = [v for v in views if isinstance(v, Opinion)]
    weights = [rules.weights.get(opinion.agent, 1.0) for opinion in opinions]
    total = sum(weights)
    if total <= 0:
        return None
    mean = sum(w * o.sign * o.confidence for w, o in zip(weights, opinions, strict=True)) / total
    return min(max(mean, -1.0), 1.0)  # the last digit of a sum may be beyond


def legal_actions(limit: Limit, portfolio: Portfolio) -> dict[Action, int]:
    """The most shares that each action may be of; `hold` always, others only where there are any.

    One side at a time: a short is covered before anything is bought, and the other way round.
    """
    position = portfolio.position(limit.ticker)
    most: dict[Action, int] = {"sell": position.long, "cover": position.short}
    if limit.price:
        affordable = math.floor(min(limit.room, portfolio.cash) / limit.price)
        margin = math.floor(min(limit.room, portfolio.cash / portfolio.margin_requirement) / limit.price)
        most["buy"] = 0 if position.short else affordable
        most["short"] = 0 if position.long else margin
    return {"hold": 0, **{action: shares for action, shares in most.items() if shares > 0}}


def quantity(action: Action, strength: float, legal: dict[Action, int]) -> int:
    """Shares of an action: all of what is closed, and of what is opened the conviction's part of the most."""
    if action in ("sell", "cover"):
        return legal[action]
    return 0 if action == "hold" else math.floor(min(abs(strength), 1.0) * legal[action])


def decide(views: list[View], limit: Limit, portfolio: Portfolio, rules: PanelRules) -> Decision:
    """The action that conviction asks for, as far as it is legal."""
    strength = conviction(views, rules)
    legal = legal_actions(limit, portfolio)
    wanted = _wanted(strength, legal, rules)
    shares = 0 if strength is None else quantity(wanted, strength, legal)
    action: Action = wanted if shares else "hold"
    opinions = sum(isinstance(view, Opinion) for view in views)
    return Decision(
        ticker=limit.ticker,
        action=action,
        quantity=shares,
        conviction=strength,
        agents=opinions,
        abstained=len(views) - opinions,
        reason=_reason(strength, views, action, limit, _direction(strength, rules))[:LONGEST],
        legal=legal,
        direction=_direction(strength, rules),
    )


def _wanted(strength: float | None, legal: dict[Action, int], rules: PanelRules) -> Action:
    direction = _direction(strength, rules)
    return next((action for action in ASKED[direction] if action in legal), "hold")


def _direction(strength: float | None, rules: PanelRules) -> int:
    if strength is None or strength == 0 or abs(strength) < rules.act_beyond:
        return 0
    return 1 if strength > 0 else -1


def _reason(strength: float | None, views: list[View], action: Action, limit: Limit, wanted: int) -> str:
    if strength is None:
        return "Every analyst abstained."
    opinions = [v for v in views if isinstance(v, Opinion)]
    counts = {s: sum(o.signal == s for o in opinions) for s in ("bullish", "bearish", "neutral")}
    told = ", ".join(f"{n} {s}" for s, n in counts.items() if n)
    why = "; no room by the risk limit" if wanted and action == "hold" and limit.room <= 0 else ""
    return f"{told}: conviction {strength:+.2f}{why}."
