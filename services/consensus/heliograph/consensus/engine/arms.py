"""Which of two strategies decides on a symbol on a day."""

from typing import Final

from heliograph.common.intervals import INTERVALS_NS
from heliograph.consensus.engine.compilation import compiled
from heliograph.consensus.engine.layout import Records

DAY: Final = INTERVALS_NS["1d"]
BUCKETS: Final = 10_000
WORD: Final = 0xFFFFFFFF


@compiled
def bucket_of(key: int, ts: int) -> int:
    """A number under BUCKETS that hangs on the hash of a symbol and on the day (UTC) of a time alone.

    The finaliser of MurmurHash3 (32 bit) over both, so that days and symbols are told apart evenly.
    """
    mixed = (key ^ ((ts // DAY) * 0x9E3779B1)) & WORD
    mixed = ((mixed ^ (mixed >> 16)) * 0x85EBCA6B) & WORD
    mixed = ((mixed ^ (mixed >> 13)) * 0xC2B2AE35) & WORD
    return (mixed ^ (mixed >> 16)) % BUCKETS


@compiled
def arm_of(key: int, ts: int, tables: Records) -> int:
    """1 where the second strategy is given this symbol today, else 0."""
    if tables.size == 1:
        return 0
    return 1 if bucket_of(key, ts) < tables[1].rollout * BUCKETS else 0
