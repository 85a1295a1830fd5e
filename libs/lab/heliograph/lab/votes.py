"""Recorded votes of sources from outside, from Parquet files as the archive keeps them."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from heliograph.common.errors import InputError
from heliograph.common.events import VoteBatch
from heliograph.common.ids import derive_id
from heliograph.consensus.engine.others import DIRECTIONS

COLUMNS = ("ts", "source", "symbol", "direction", "confidence", "observed")
TIMES = ("ts", "observed")


class RecordedVote(NamedTuple):
    """One vote: when its source was at work, whose it is, and what it says, as in `VoteBatch`."""

    ts: int
    source: str
    symbol: str
    direction: int
    confidence: float
    observed: int


class Votes(msgspec.Struct, frozen=True, kw_only=True):
    """Votes sorted by time, source and symbol; the same one twice counts once."""

    rows: tuple[RecordedVote, ...]

    def batches(self, symbols: Iterable[str], sources: Iterable[str]) -> Iterator[VoteBatch]:
        """A batch for each time and source, with the votes on some symbols.

        It may have none: then it is the sign of life that it is for all symbols, so that no decision hangs
        on which symbols are looked at together.
        """
        wanted, known = set(symbols), set(sources)
        for (ts, source), group in groupby(self.rows, key=lambda row: (row.ts, row.source)):
            if source not in known:
                continue
            own = [row for row in group if row.symbol in wanted]
            yield VoteBatch(
                id=derive_id("votes", source, ts),
                ts=ts,
                source=source,
                symbols=[row.symbol for row in own],
                direction=[row.direction for row in own],
                confidence=[row.confidence for row in own],
                observed=[row.observed for row in own],
            )


def check_sources(votes: Votes, keys: Sequence[str]) -> None:
    """Refuse votes of which none would count.

    Raises:
        InputError: no recorded source is configured.
    """
    recorded = sorted({row.source for row in votes.rows})
    if not set(recorded) & set(keys):
        raise InputError(
            f"votes: of {', '.join(recorded)}, expected some of a configured source ({', '.join(keys)})"
        )


@functools.lru_cache(maxsize=1)
def read_votes(folder: Path) -> Votes:
    """All votes of a folder's Parquet files (`*.parquet`, at any depth).

    Raises:
        InputError: there is no file, a column is missing, or a vote cannot be: file, row and field are named.
    """
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InputError(f"votes: no Parquet file in {str(folder)!r}")
    rows: set[RecordedVote] = set()
    for file in files:
        rows.update(_read(file))
    return Votes(rows=tuple(sorted(rows)))


def _read(file: Path) -> list[RecordedVote]:
    try:
        table = parquet.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"votes: {str(file)!r} cannot be read ({error})") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"votes: {str(file)!r} has no column {', '.join(missing)}")
    columns = []
    for name in COLUMNS:
        column = table[name]
        if column.null_count:
            raise InputError(f"votes: {str(file)!r}: {name}: null, expected a value in each row")
        if name in TIMES and pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        columns.append(column.to_pylist())
    found = [RecordedVote(*values) for values in zip(*columns, strict=True)]
    for number, vote in enumerate(found):
        wrong = _wrong(vote)
        if wrong:
            raise InputError(f"votes: {str(file)!r}, row {number}: {wrong}")
    return found


def _wrong(vote: RecordedVote) -> str:
    """What is wrong with a vote, if anything is."""
    if vote.direction not in DIRECTIONS:
        return f"direction: {vote.direction!r}, expected −1, 0, 1, or 2 for an abstention"
    if not (np.isfinite(vote.confidence) and 0 <= vote.confidence <= 1):
        return f"confidence: {vote.confidence!r}, expected 0 to 1"
    if vote.observed > vote.ts:
        return f"observed: {vote.observed}, expected at most ts ({vote.ts}): nobody sees the future"
    return ""
