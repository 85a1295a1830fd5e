"""Pattern search beside brute force in numpy and pgvector: `python -m benchmarks.pattern [--graph] [SIZE …]`.

Cases are drawn at random (seed 7): eleven measures that move together in part, and flags as the swing source
has them, standardised and brought to length 1 as in the tracker. Recall@50 is the share of the 50 nearest by
brute force that were found. One query at a time on one thread; each way answers the same queries. A graph of
a million vectors takes pgvector many minutes: there its exact search alone is asked, but with `--graph`.
"""

import sys
import time
from collections.abc import Callable

import faiss
import msgspec
import numpy as np
import numpy.typing as npt
import psycopg
from benchmarks.figures import Figure, quantile, show
from benchmarks.postgres import server

from heliograph.tracker.pattern.index import NeighbourIndex
from heliograph.tracker.pattern.memory import NEIGHBOURS
from heliograph.tracker.pattern.scaler import SIZE, Vectors, fit

SIZES = (1_000, 10_000, 1_000_000)
GOALS_MS = {1_000: 0.1, 1_000_000: 5.0}
RECALL = 0.95
COMMAND = " ".join(["python -m benchmarks.pattern", *sys.argv[1:]])
QUERIES = 1_000
WARM_UP = 20
SLOW_QUERIES = 50
MILLION = 1_000_000
Rows = npt.NDArray[np.int64]
Search = Callable[[Vectors], Rows]


def cases(count: int) -> npt.NDArray[np.float64]:
    """Features of cases; shape (count, 16)."""
    random = np.random.default_rng(7)
    measures = random.normal(size=(count, 4)) @ random.normal(size=(4, 11)) + random.normal(size=(count, 11))
    trend = random.integers(0, 3, count)
    flags = np.stack(
        [trend == 0, trend == 1, trend == 2, random.random(count) < 0.2, random.integers(0, 3, count)], axis=1
    )
    return np.concatenate([measures, flags.astype(np.float64)], axis=1)


class Measured(msgspec.Struct, frozen=True):
    """Milliseconds of each query, of them on this thread's processor, and recall@50."""

    times: list[float]
    busy: list[float]
    recall: float


def measured(search: Search, queries: Vectors, truth: list[Rows]) -> Measured:
    """Ask each query once, after a few to warm up."""
    for query in queries[:WARM_UP]:
        search(query)
    times, busy, shares = [], [], []
    for query, true in zip(queries, truth, strict=False):
        started, worked = time.perf_counter(), time.thread_time()
        rows = search(query)
        times.append((time.perf_counter() - started) * 1e3)
        busy.append((time.thread_time() - worked) * 1e3)
        shares.append(float(np.isin(true, rows).mean()))
    return Measured(times, busy, float(np.mean(shares)))


def brute(vectors: Vectors) -> Search:
    """All products, then the best."""

    def search(query: Vectors) -> Rows:
        similar = vectors @ query
        best = np.argpartition(-similar, NEIGHBOURS)[:NEIGHBOURS]
        return np.asarray(best[np.argsort(-similar[best])])

    return search


def indexed(vectors: Vectors, *, compressed: bool) -> tuple[Search, float]:
    """The tracker's index, and the seconds that it took to fill."""
    index = NeighbourIndex(compressed=compressed)
    faiss.omp_set_num_threads(2)
    started = time.perf_counter()
    index.add(vectors)
    seconds = time.perf_counter() - started
    faiss.omp_set_num_threads(1)
    return lambda query: index.nearest(query, NEIGHBOURS)[0], seconds


def store(connection: psycopg.Connection[tuple[int]], vectors: Vectors) -> None:
    """Put vectors into pgvector."""
    connection.execute("DROP TABLE IF EXISTS cases")
    connection.execute(f"CREATE TABLE cases (row integer, vector vector({SIZE}))")
    with connection.cursor().copy("COPY cases FROM STDIN") as copy:
        for row, vector in enumerate(vectors.tolist()):
            copy.write_row((row, str(vector)))
    connection.execute("VACUUM ANALYZE cases")


def graph(connection: psycopg.Connection[tuple[int]]) -> float:
    """Make the graph of pgvector, like that of the tracker; the seconds that it took."""
    connection.execute("SET maintenance_work_mem = '2GB'")
    started = time.perf_counter()
    connection.execute(
        "CREATE INDEX ON cases USING hnsw (vector vector_cosine_ops) WITH (m = 32, ef_construction = 100)"
    )
    return time.perf_counter() - started


def asked(connection: psycopg.Connection[tuple[int]], *, exact: bool) -> Search:
    """Ask pgvector, over a local socket."""
    connection.execute("SET max_parallel_workers_per_gather = 0")
    connection.execute("SET hnsw.ef_search = 128")
    connection.execute(f"SET enable_indexscan = {'off' if exact else 'on'}")
    connection.execute(f"SET enable_seqscan = {'on' if exact else 'off'}")

    def search(query: Vectors) -> Rows:
        found = connection.execute(
            "SELECT row FROM cases ORDER BY vector <=> %s::vector LIMIT %s",
            (str(query.tolist()), NEIGHBOURS),
            prepare=True,
        )
        return np.array([row for (row,) in found])

    return search


def figure(name: str, size: int, found: Measured, beside: str = "", goal: str = "") -> Figure:
    """One way of searching. Where it works in this process, its time on the processor is told too."""
    p50, p99 = quantile(found.times, 0.5), quantile(found.times, 0.99)
    value = f"p50 {p50:.3f} ms, p99 {p99:.3f} ms, recall@50 {found.recall:.3f}"
    if not name.startswith("pgvector"):
        beside = f"processor p99 {quantile(found.busy, 0.99):.3f} ms" + (f"; {beside}" if beside else "")
    return Figure(name=f"{size:,}: {name}", value=value, beside=beside, goal=goal)


def compare(size: int, connection: psycopg.Connection[tuple[int]]) -> list[Figure]:
    """All ways over the same vectors and queries."""
    features = cases(size + QUERIES)
    scaler = fit(features[:size], until=0)
    vectors, queries = scaler.vectors(features[:size]), scaler.vectors(features[size:])
    if size >= MILLION:
        queries = queries[: QUERIES // 2]
    force = brute(vectors)
    truth = [force(query) for query in queries]
    rows = []
    for name, compressed in (("tracker", False), ("tracker, eight bits", True)):
        search, seconds = indexed(vectors, compressed=compressed)
        found = measured(search, queries, truth)
        limit = GOALS_MS.get(size)
        goal = ""
        if limit is not None and not compressed:
            good = quantile(found.times, 0.99) <= limit and found.recall >= RECALL
            goal = f"p99 ≤ {limit} ms, recall ≥ {RECALL}: {'met' if good else 'missed'}"
        rows.append(figure(name, size, found, f"filled in {seconds:.1f} s", goal))
        del search
    rows.append(figure("numpy, brute force", size, measured(force, queries[:SLOW_QUERIES], truth)))
    store(connection, vectors)
    if size < MILLION or "--graph" in sys.argv:
        seconds = graph(connection)
        found = measured(asked(connection, exact=False), queries, truth)
        rows.append(figure("pgvector, HNSW", size, found, f"filled in {seconds:.1f} s"))
    found = measured(asked(connection, exact=True), queries[:SLOW_QUERIES], truth)
    rows.append(figure("pgvector, exact", size, found))
    return rows


def main() -> None:
    """Print the table."""
    sizes = [int(argument) for argument in sys.argv[1:] if argument != "--graph"] or SIZES
    with server() as running, psycopg.connect(running.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        for size in sizes:
            rows = compare(size, connection)
            show(f"Pattern search among {size:,}: 16 features, k = 50", rows, COMMAND)


if __name__ == "__main__":
    main()
