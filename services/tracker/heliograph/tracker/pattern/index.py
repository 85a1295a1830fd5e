"""The nearest of many vectors of length 1 by their cosine: exact while they are few, a graph (HNSW) above.

FAISS makes the graph, and is imported with the first one. It holds 46 MB that fewer vectors do not need: all
their products with a query take no longer in numpy.
"""

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.tracker.pattern.scaler import SIZE, Vectors

EXACT = 10_000
"""Vectors up to which every one of them is looked at."""
LINKS = 32
"""Neighbours of a vector in the graph."""
BUILD_WIDTH = 100
SEARCH_WIDTH = 128
"""Candidates kept while the graph is built and searched: the wider, the more true neighbours are found."""
STEPS = 127
"""Steps from 0 to 1 in eight bits. The components of a vector of length 1 are from −1 to 1, always."""

Rows = npt.NDArray[np.int64]


class NeighbourIndex:
    """Vectors by their row, in the order in which they were added; eight bits a component when compressed."""

    def __init__(self, *, compressed: bool = False, exact: int = EXACT) -> None:
        self._compressed = compressed
        self._exact = exact
        self._held = np.zeros((64, SIZE), np.int8 if compressed else np.float32)
        self._count = 0
        self._graph: Any = None

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: Vectors) -> None:
        """Add vectors, shape (n, 16)."""
        if not len(vectors):
            return
        start, self._count = self._count, self._count + len(vectors)
        if self._count > len(self._held):
            grown = np.zeros((max(self._count, 2 * len(self._held)), SIZE), self._held.dtype)
            grown[:start] = self._held[:start]
            self._held = grown
        stored = np.rint(vectors * STEPS) if self._compressed else vectors
        self._held[start : self._count] = stored
        if self._count <= self._exact:
            return
        if self._graph is None:
            self._graph, start = self._made(), 0
        self._graph.add(self._vectors(slice(start, self._count)))

    def nearest(self, query: Vectors, k: int, allowed: Rows | None = None) -> tuple[Rows, Vectors]:
        """The rows of at most k nearest vectors and their similarity (cosine), the nearest first.

        Args:
            query: one vector, shape (16,).
            k: how many.
            allowed: rows that may be found; all of them when None.
        """
        if not self._count or not query.any() or (allowed is not None and not allowed.size):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if self._graph is None or (allowed is not None and allowed.size <= self._exact):
            return self._among(query, k, allowed)
        squares, rows = self._graph.search(query.reshape(1, SIZE), k, params=self._choice(allowed))
        found = rows[0] >= 0  # there are −1 where FAISS has found no more
        return rows[0, found], 1.0 - squares[0, found] / 2.0

    def _choice(self, allowed: Rows | None) -> Any:
        """What FAISS may find."""
        if allowed is None:
            return None
        faiss = _faiss()
        mask = np.zeros(self._count, np.bool_)
        mask[allowed] = True
        chosen = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        return faiss.SearchParametersHNSW(sel=chosen, efSearch=SEARCH_WIDTH)

    def _among(self, query: Vectors, k: int, allowed: Rows | None) -> tuple[Rows, Vectors]:
        """The nearest among some rows, or all of them, each looked at."""
        similar = self._vectors(slice(0, self._count) if allowed is None else allowed) @ query
        rows = np.arange(similar.size)
        if rows.size > k:
            rows = np.argpartition(-similar, k - 1)[:k]
        rows = rows[np.argsort(-similar[rows], kind="stable")]
        return (rows if allowed is None else allowed[rows]), similar[rows]

    def _vectors(self, rows: Rows | slice) -> Vectors:
        held = self._held[rows]
        return np.asarray(held.astype(np.float32) / STEPS if self._compressed else held, np.float32)

    def _made(self) -> Any:
        """An empty graph. Of vectors of length 1 the order by distance is the order by cosine."""
        faiss = _faiss()
        index: Any
        if self._compressed:
            index = faiss.IndexHNSWSQ(SIZE, faiss.ScalarQuantizer.QT_8bit, LINKS)
            index.train(np.array([[-1.0] * SIZE, [1.0] * SIZE], np.float32))
        else:
            index = faiss.IndexHNSWFlat(SIZE, LINKS)
        index.hnsw.efConstruction = BUILD_WIDTH
        index.hnsw.efSearch = SEARCH_WIDTH
        return index


def _faiss() -> Any:
    return import_module("faiss")
