"""Weights from votes and outcomes: logistic regression, view by view."""

import warnings

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from heliograph.common.ids import derive_id
from heliograph.common.outcomes import OPEN
from heliograph.consensus.engine.layout import VIEWS
from heliograph.lab.bars import Floats
from heliograph.lab.period import Period
from heliograph.lab.reliability import winning
from heliograph.lab.strategy import Strategy, rules_of
from heliograph.lab.timeline import purged_folds
from heliograph.lab.trades import SILENT, Trades

ENOUGH = 200
"""Ended signals of a view under which its weights stay as they are."""
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse regularisations that cross-validation chooses from."""
DECIMALS = 4


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """What was fitted for one view.

    Attributes:
        view: of the regime; `signals` how many ended ones were seen.
        weights: normalised to 1; None where the weights stay, and `why`.
        loss: log loss of the cross-validation; `constant` that of the mean win rate alone.
        strength: the inverse regularisation that was chosen.
    """

    view: str
    signals: int
    weights: dict[str, float] | None
    why: str
    loss: float | None = None
    constant: float | None = None
    strength: float | None = None


def open_gate(strategy: Strategy) -> Strategy:
    """The strategy with its gate open, so that weak and strong agreement are both seen."""
    return msgspec.structs.replace(strategy, rules=rules_of(strategy.rules, {"gate": 0.0}))


def seen(trades: Trades, period: Period) -> Trades:
    """Signals that began and ended within a period: what was known at its end."""
    ended = (trades["result"] != OPEN) & (trades["closed"] <= period.end)
    within: Trades = trades[ended & (trades["bar_ts"] >= period.start) & (trades["ts"] <= period.end)]
    return within


def votes(trades: Trades) -> Floats:
    """Each source's word on the signal's side: confidence where it agreed, minus it where it opposed."""
    said = np.where(trades["direction"] == SILENT, 0, trades["direction"])
    found: Floats = said * trades["side"][:, None] * trades["confidence"]
    return found


def fit(strategy: Strategy, trades: Trades) -> tuple[Strategy, list[Fit]]:
    """A strategy with fitted weights where there is something to learn, and what was found view by view.

    Args:
        strategy: whose weights stay where nothing is learnt.
        trades: ended signals, of an open gate, that the fit may know.
    """
    fits = [fit_view(strategy, view, trades[trades["view"] == n]) for n, view in enumerate(VIEWS)]
    learnt = {found.view: found.weights for found in fits if found.weights is not None}
    if not learnt:
        return strategy, fits
    kept = {view: dict(row) for view, row in strategy.weights.views.items()}
    views = {**kept, **learnt}
    mark = derive_id(
        "weights", strategy.name, *(f"{v}.{s}={w}" for v in learnt for s, w in learnt[v].items())
    )
    version = f"{strategy.weights.version[:20]}-{mark[:8]}"
    weights = msgspec.structs.replace(strategy.weights, version=version, views=views)
    return msgspec.structs.replace(strategy, weights=weights), fits


def fit_view(strategy: Strategy, view: str, trades: Trades) -> Fit:
    """The weights of one view."""
    won = winning(trades) > 0
    if len(trades) < ENOUGH or won.all() or not won.any():
        why = f"{len(trades)} ended signals, expected at least {ENOUGH} with wins and losses"
        return Fit(view=view, signals=len(trades), weights=None, why=why)
    words = votes(trades)
    losses = {c: validated(words, won, trades, c) for c in STRENGTHS}
    strength = min(losses, key=lambda c: losses[c])
    constant = float(log_loss(won, np.full(len(won), won.mean()), labels=[False, True]))
    told = {"loss": losses[strength], "constant": constant, "strength": strength}
    found = np.maximum(regression(strength).fit(words, won).coef_[0], 0.0)
    if found.sum() <= 0:
        return Fit(
            view=view, signals=len(trades), weights=None, why="no source's agreement went with wins", **told
        )
    share = found / found.sum()
    row = {s: round(float(w), DECIMALS) for s, w in zip(strategy.keys, share, strict=True)}
    return Fit(view=view, signals=len(trades), weights=row, why="", **told)


def regression(strength: float) -> LogisticRegression:
    """The model: an intercept, and one coefficient a source."""
    return LogisticRegression(C=strength, solver="newton-cholesky")


def validated(words: Floats, won: NDArray[np.bool_], trades: Trades, strength: float) -> float:
    """Mean log loss over purged and embargoed folds."""
    losses, counts = [], []
    for train, test in purged_folds(trades["ts"], trades["closed"]):
        if not len(train) or won[train].all() or not won[train].any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            model = regression(strength).fit(words[train], won[train])
        losses.append(log_loss(won[test], model.predict_proba(words[test])[:, 1], labels=[False, True]))
        counts.append(len(test))
    return float(np.average(losses, weights=counts)) if losses else float("inf")
