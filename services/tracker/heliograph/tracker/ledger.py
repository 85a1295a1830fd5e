"""The ledger's arithmetic: what a block says of the rows that one statement wrote. Pure.

For each table and shard the blocks are numbered from 1 and chained:

- digest of a row = SHA-256(traceparent LF payload), both UTF-8
- link = SHA-256(record SP shards SP shard SP number LF previous keys LF places LF digests), where `previous`
  is the link before it (empty for the first), keys and places are joined by one space, and the digests are
  joined as bytes

The database computes both while it writes (migration 0003); here they are computed again to verify.
"""

import hashlib
from datetime import datetime

import msgspec

from heliograph.tracker.rows import TABLES

DIGEST_BYTES = hashlib.sha256().digest_size


class Member(msgspec.Struct, frozen=True):
    """One row as a block names it."""

    key: str
    place: int
    digest: bytes


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that one statement wrote for one shard.

    Attributes:
        record: the table; `keys` its rows in order, `places` their sequences in the stream.
        digests: of the rows, 32 bytes each, joined.
        created: when the server wrote it, the same moment as of its rows.
    """

    record: str
    shards: int
    shard: int
    number: int
    previous: bytes
    link: bytes
    keys: list[str]
    places: list[int]
    digests: bytes
    created: datetime

    @property
    def chain(self) -> tuple[str, int, int]:
        """What it is a link of."""
        return self.record, self.shards, self.shard

    @property
    def members(self) -> list[Member]:
        """Its rows, in order."""
        digests = [self.digests[i : i + DIGEST_BYTES] for i in range(0, len(self.digests), DIGEST_BYTES)]
        return [Member(*fields) for fields in zip(self.keys, self.places, digests, strict=True)]


def row_digest(traceparent: str, payload: str) -> bytes:
    """The digest of a row."""
    return hashlib.sha256(f"{traceparent}\n{payload}".encode()).digest()


def block_link(block: Block) -> bytes:
    """The link that a block must have."""
    head = f"{block.record} {block.shards} {block.shard} {block.number}\n".encode()
    body = f"{' '.join(block.keys)}\n{' '.join(map(str, block.places))}\n".encode()
    return hashlib.sha256(head + block.previous + body + block.digests).digest()


def whole(block: Block) -> bool:
    """Whether its lists belong together and its table is one of the record."""
    return (
        block.record in TABLES
        and len(block.keys) == len(block.places)
        and len(block.digests) == DIGEST_BYTES * len(block.keys)
    )
