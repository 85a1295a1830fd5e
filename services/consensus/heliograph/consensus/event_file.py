"""Known events from a CSV file with the columns symbol, time, kind: `AAPL,2026-01-29T21:30:00Z,earnings`."""

import csv
import functools
from datetime import datetime
from pathlib import Path

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.subjects import check_symbol
from heliograph.consensus.engine.blocks import EVERY, Blocks

COLUMNS = ("symbol", "time", "kind")


@functools.cache
def read_events(path: Path) -> Blocks:
    """The events of a file; the symbol `*` stands for all.

    Raises:
        InputError: it cannot be read, or a line is wrong: named with its number.
    """
    found: dict[str, list[int]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise InputError(f"{path}: columns {rows.fieldnames}, expected {', '.join(COLUMNS)}")
            for row in rows:
                try:
                    symbol = row["symbol"] if row["symbol"] == EVERY else check_symbol(row["symbol"])
                    found.setdefault(symbol, []).append(nanoseconds(row["time"] or ""))
                except InputError as error:
                    raise InputError(f"{path}, line {rows.line_num}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {error}") from error
    return Blocks(times={symbol: tuple(sorted(times)) for symbol, times in found.items()})


def nanoseconds(text: str) -> int:
    """A moment in ISO 8601 with its offset, as UTC nanoseconds.

    Raises:
        InputError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError(f"time: {text!r}, expected ISO 8601 with an offset, like 2026-01-29T21:30:00Z")
    return round(moment.timestamp()) * NANOSECONDS
