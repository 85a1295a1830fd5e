"""What each source counts for, by the enhanced view of the regime."""

import math
import re
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.consensus.engine.layout import SOURCES, VIEWS, Floats

SUM_TOLERANCE = 0.05
EVERY = 1.0
KNOWN = ("trend", "technical", "swing", "pattern", "sentiment", "research", "models", "analysts")
"""Every source that a table may name, so that a misspelt one is found."""
_NAME = re.compile(r"[a-z0-9_.-]{1,32}")

ALWAYS: dict[str, float] = {"swing": 0.20, "pattern": 0.15, "models": 0.10, "analysts": 0.15}
"""Weights that no view changes."""
DEFAULT_VIEWS: dict[str, dict[str, float]] = {
    "UNKNOWN": {"trend": 0.40, "technical": 0.25, "sentiment": 0.20, "research": 0.15, **ALWAYS},
    "TRENDING": {"trend": 0.55, "technical": 0.25, "sentiment": 0.15, "research": 0.05, **ALWAYS},
    "CONSOLIDATION": {"trend": 0.40, "technical": 0.30, "sentiment": 0.20, "research": 0.10, **ALWAYS},
    "VOLATILE": {"trend": 0.45, "technical": 0.30, "sentiment": 0.15, "research": 0.10, **ALWAYS},
}
"""Normalised over the sources that are configured: more are named here than any sum of 1 has room for."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A named and versioned table of weights: view → source → weight (at least 0).

    `plugins` are the keys of sources that are not the project's own and that the table may name.

    A view that is not named has the default weights. The table may name sources that are not configured;
    `table` takes the configured ones and normalises them.

    Raises:
        InputError: a name, a view, a source or a number is wrong.
    """

    name: str = "default"
    version: str = "2"
    views: Mapping[str, Mapping[str, float]] = {}
    plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "version"):
            if not _NAME.fullmatch(getattr(self, field)):
                raise InputError(f"{field}: {getattr(self, field)!r}, expected 1 to 32 of a-z 0-9 _ . -")
        for view, row in self.views.items():
            if view not in VIEWS:
                raise InputError(f"weights: {view!r} is not one of {', '.join(VIEWS)}")
            for source, weight in row.items():
                if source not in KNOWN and source not in self.plugins:
                    known = ", ".join((*KNOWN, *self.plugins))
                    raise InputError(f"weights.{view}: {source!r} is not one of {known}")
                if not (math.isfinite(weight) and weight >= 0):
                    raise InputError(f"weights.{view}.{source}: {weight!r}, expected a number of at least 0")

    @property
    def strategy(self) -> str:
        """Name and version, as signals carry them."""
        return f"{self.name}@{self.version}"

    def table(self, configured: Sequence[str], others: Mapping[str, float] | None = None) -> Floats:
        """Weights normalised to 1 over the configured sources.

        Args:
            configured: some of SOURCES.
            others: sources besides them, with their weights in views that do not name them.

        Returns:
            Shape (views, SOURCES and then the others), 0 for those that are not configured.

        Raises:
            InputError: no source is configured, one is unknown, or a view leaves all of them without weight.
        """
        columns = (*SOURCES, *(others or ()))
        unknown = sorted(set(configured) - set(SOURCES))
        if unknown or not (configured or others):
            raise InputError(
                f"sources: {', '.join(unknown) or 'none'}, expected some of {', '.join(columns)}"
            )
        found = np.zeros((len(VIEWS), len(columns)))
        for number, view in enumerate(VIEWS):
            row = {**(others or {}), **self.views.get(view, DEFAULT_VIEWS[view])}
            chosen = {source: row.get(source, 0.0) for source in (*configured, *(others or ()))}
            total = math.fsum(chosen.values())
            if total <= 0:
                raise InputError(f"weights.{view}: no weight for {', '.join(chosen)}, expected a sum above 0")
            for source, weight in chosen.items():
                found[number, columns.index(source)] = weight / total
        return found

    def warnings(self) -> list[str]:
        """The views whose weights, over all sources that they name, are off 1 by more than .05."""
        sums = {view: math.fsum(row.values()) for view, row in self.views.items()}
        return [
            f"weights.{view}: sum {total:.3f}, expected 1 (they are normalised)"
            for view, total in sums.items()
            if abs(total - 1) > SUM_TOLERANCE
        ]


def check_rollout(arms: Sequence[Weights], rollout: float) -> None:
    """Refuse a share of symbols and days, or a second strategy, that cannot be.

    Raises:
        InputError: the share is none, has no strategy to go to, or the two cannot be told apart.
    """
    if not 0.0 <= rollout <= EVERY:
        raise InputError(f"rollout: {rollout!r}, expected 0 to 1")
    if rollout > 0.0 and len(arms) == 1:
        raise InputError(f"rollout: {rollout!r} without a challenger, expected 0")
    names = [arm.strategy for arm in arms]
    if len(set(names)) < len(names):
        raise InputError(
            f"challenger: {names[0]!r} like the strategy itself, expected another name or version"
        )
