"""Groups of symbols that move together, so that they are asked for together. Pure."""

import numpy as np
from numpy.typing import NDArray

from heliograph.fetcher.provider import Numbers

LEAST_RETURNS = 20
"""Fewer returns tell nothing; such a symbol is a group of its own."""


def groups(returns: Numbers, order: NDArray[np.int64], threshold: float, limit: int) -> NDArray[np.int64]:
    """The number of each symbol's group.

    In the given order, each symbol that has no group yet leads a new one, and takes in those without a group
    whose correlation with **it** is at least the threshold, the most correlated first, up to the limit. A
    missing return counts as the symbol's mean, which brings a correlation nearer to 0.

    Args:
        returns: shape (symbols, minutes), NaN where missing.
        order: the rows, those that shall lead first.
        threshold: correlation, over 0 and up to 1; `limit` symbols of a group, at least 1.
    """
    count = len(returns)
    known = np.isfinite(returns)
    number = known.sum(axis=1)
    filled = np.where(known, returns, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / np.maximum(number, 1)[:, None]
    apart = np.where(known, filled - mean, 0.0)
    size = np.linalg.norm(apart, axis=1)
    told = (number >= LEAST_RETURNS) & (size > 0.0)
    unit = (apart / np.where(size > 0.0, size, 1.0)[:, None]).astype(np.float32)
    found = np.full(count, -1, dtype=np.int64)
    free = told.copy()
    for group, lead in enumerate(order.tolist()):
        if found[lead] >= 0:
            continue
        found[lead] = group
        free[lead] = False
        if not told[lead] or limit == 1:
            continue
        likeness = np.where(free, unit @ unit[lead], -1.0)
        close = np.flatnonzero(likeness >= threshold)
        taken = close[np.argsort(-likeness[close], kind="stable")][: limit - 1]
        found[taken] = group
        free[taken] = False
    return found
