"""Which shard a symbol belongs to, and which member owns a shard."""

import hashlib
from collections.abc import Iterable

DEFAULT_SHARDS = 16
_FNV_OFFSET = 2166136261
_FNV_PRIME = 16777619


def fnv1a_32(data: bytes) -> int:
    """FNV-1a, 32 bit: the hash of the NATS server's `partition` mapping (draft-eastlake-fnv)."""
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def shard_of(symbol: str, shards: int) -> int:
    """The shard of a symbol (not encoded), 0 … shards−1."""
    return fnv1a_32(symbol.encode()) % shards


def owner_of(shard: int, members: Iterable[str]) -> str | None:
    """The owner of a shard by rendezvous hashing (Thaler and Ravishankar 1998); None without members."""
    return max(
        members,
        key=lambda member: (hashlib.blake2b(f"{member}/{shard}".encode(), digest_size=8).digest(), member),
        default=None,
    )
