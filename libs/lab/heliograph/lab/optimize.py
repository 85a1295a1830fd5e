"""Weights fitted on the validation part, and accepted only where the test part agrees."""

from collections.abc import Callable

import msgspec
import numpy as np

from heliograph.lab.backtest import Job, Result, run
from heliograph.lab.compare import Comparison, compare
from heliograph.lab.fitting import Fit, fit, open_gate, seen
from heliograph.lab.period import date_of
from heliograph.lab.strategy import Strategy
from heliograph.lab.timeline import split


class Optimisation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        verdict: in words; `accepted` the same as a truth.
        validation: first and last day that the fit saw; `test` the first day that judged.
        fits: of each view.
        candidate: name and version, `weights` by view.
        comparison: current and candidate on the test part alone; None where nothing was learnt.
    """

    verdict: str
    accepted: bool
    validation: tuple[str, str]
    test: str
    fits: list[Fit]
    candidate: str
    weights: dict[str, dict[str, float]]
    comparison: Comparison | None


def optimise(
    job: Job, chunk: int, report: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[Optimisation, Strategy]:
    """Fit the weights of a job's strategy; its period is left out of account.

    Raises:
        InputError: the data are wrong, or too short for three parts.
    """

    def ran(strategy: Strategy, step: int, **changes: object) -> Result:
        part = msgspec.structs.replace(job, strategy=strategy, **changes)
        return run(part, chunk=chunk, report=lambda done, total: report(step * total + done, 4 * total))

    ledger = ran(job.strategy, 0).ledger
    traded = np.flatnonzero(ledger.bars)
    parts = split(traded + ledger.first, ledger.bars[traded])
    opportunities = ran(open_gate(job.strategy), 1, period=parts.validation)
    candidate, fits = fit(job.strategy, seen(opportunities.trades, parts.validation))
    comparison = None
    if candidate is not job.strategy:
        current = ran(job.strategy, 2, period=parts.test)
        other = ran(candidate, 3, period=parts.test)
        comparison = compare(current, other, (job.strategy.name, candidate.name))
    accepted = comparison is not None and comparison.better == "b"
    found = Optimisation(
        verdict=verdict(comparison, accepted=accepted),
        accepted=accepted,
        validation=(date_of(parts.validation.start), date_of(parts.validation.end - 1)),
        test=date_of(parts.test.start),
        fits=fits,
        candidate=candidate.name,
        weights={view: dict(row) for view, row in candidate.weights.views.items()},
        comparison=comparison,
    )
    return found, candidate


def verdict(comparison: Comparison | None, *, accepted: bool) -> str:
    """What to do, in words."""
    if comparison is None:
        return "Not accepted: nothing was learnt on the validation part; the weights stay."
    if accepted:
        return f"Accepted: on the test part {comparison.verdict}"
    return f"Not accepted, the weights stay; the test part does not agree. {comparison.verdict}"
