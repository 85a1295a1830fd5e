"""Dead letters for the bars that the quality gate refused: each bar whole, with its reason. Pure."""

import hashlib
import math
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from heliograph.common import subjects
from heliograph.common.events import DeadLetter
from heliograph.common.ids import derive_id
from heliograph.common.shards import shard_of
from heliograph.fetcher.provider import NO_TIME
from heliograph.fetcher.quality import EXPECTED, Refusal
from heliograph.fetcher.table import COLUMNS, Table

SERVICE = "fetcher"
ROWS_PER_LETTER = 500

Bar = dict[str, str | int | float | None]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The refused rows of one shard, in letters' worth of one reason each.

    Attributes:
        shard: whose symbols they are.
        table: what their numbers refer to.
        parts: reason and row numbers of each letter, in the order of publishing.
    """

    shard: int
    table: Table
    parts: list[tuple[Refusal, NDArray[np.int64]]]

    def counts(self) -> dict[str, int]:
        """Refused bars by reason."""
        found: dict[str, int] = {}
        for refusal, rows in self.parts:
            found[refusal.label] = found.get(refusal.label, 0) + len(rows)
        return found

    def letters(self, first: int, end: int, received: int) -> Iterator[tuple[Refusal, DeadLetter]]:
        """The letters with numbers from `first` to before `end`, one by one."""
        for refusal, rows in self.parts[first:end]:
            yield refusal, self._letter(refusal, [self._whole(row) for row in rows.tolist()], received)

    def _letter(self, refusal: Refusal, bars: list[Bar], received: int) -> DeadLetter:
        """One dead letter; its payload is a JSON array of `_whole` bars."""
        payload = msgspec.json.encode(bars)
        first = ", ".join(f"{name} {bars[0][name]!r}" for name in ("symbol", *COLUMNS[1:]))
        return DeadLetter(
            id=derive_id("quarantine", self.shard, refusal.label, hashlib.sha256(payload).hexdigest()),
            ts=next((bar["ts"] for bar in bars if isinstance(bar["ts"], int)), 0),
            received=received,
            service=SERVICE,
            reason=f"{refusal.label}: {EXPECTED[refusal]}; {len(bars)} refused, "
            f"the first is row {bars[0]['row']} of {bars[0]['file']}: {first}",
            subject=subjects.bars(self.shard),
            payload=payload,
            quarantine=True,
            rows=len(bars),
        )

    def _whole(self, row: int) -> Bar:
        """A bar as it came, and from where; no time is null, `nan`, `inf` and `-inf` are texts."""
        table = self.table
        origin = int(np.searchsorted(table.starts, row, side="right")) - 1
        ts = int(table.ts[row])
        prices = {name: float(getattr(table, name)[row]) for name in COLUMNS[2:]}
        return {
            "file": table.origins[origin],
            "row": row - int(table.starts[origin]),
            "symbol": table.symbols[table.code[row]],
            "ts": None if ts == NO_TIME else ts,
            **{name: value if math.isfinite(value) else str(value) for name, value in prices.items()},
        }


def refused_by_shard(table: Table, verdicts: NDArray[np.uint8], shards: int) -> list[Refused]:
    """The refused rows of each shard, by reason, at most `ROWS_PER_LETTER` in a letter.

    A text that is no symbol has a shard by the same hash as any other.
    """
    bad = np.flatnonzero(verdicts)
    shard = np.array([shard_of(s, shards) for s in table.symbols], dtype=np.int32)[table.code[bad]]
    found = []
    for number in range(shards):
        mine = bad[shard == number]
        parts = [
            (refusal, rows[start : start + ROWS_PER_LETTER])
            for refusal in Refusal
            if len(rows := mine[verdicts[mine] == refusal])
            for start in range(0, len(rows), ROWS_PER_LETTER)
        ]
        found.append(Refused(shard=number, table=table, parts=parts))
    return found
