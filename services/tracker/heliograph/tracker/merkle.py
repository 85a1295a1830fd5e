"""The Merkle tree over a list of digests, as RFC 6962 (section 2.1) defines it, with SHA-256. Pure."""

import hashlib
from collections.abc import Iterable, Sequence

LEAF, NODE = b"\x00", b"\x01"


def root(digests: Iterable[bytes]) -> bytes:
    """The root over the digests in their order; SHA-256 of nothing where there are none."""
    level = [hashlib.sha256(LEAF + digest).digest() for digest in digests]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _above(level: list[bytes]) -> list[bytes]:
    """The nodes over a level; one without a partner rises as it is: the RFC's split at a power of two."""
    paired = [hashlib.sha256(NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    return paired + level[len(level) // 2 * 2 :]


def path(digests: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the way from the leaf `index` up to the root, the lowest first (section 2.1.1)."""
    level = [hashlib.sha256(LEAF + digest).digest() for digest in digests]
    found = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            found.append(level[index ^ 1])
        level = _above(level)
        index //= 2
    return found


def climb(digest: bytes, index: int, leaves: int, proof: Sequence[bytes]) -> bytes | None:
    """The root to which a proof leads from a leaf; None where it has not the length that the tree needs."""
    node, rest = hashlib.sha256(LEAF + digest).digest(), list(proof)
    while leaves > 1:
        if index ^ 1 < leaves:
            if not rest:
                return None
            beside = rest.pop(0)
            pair = beside + node if index & 1 else node + beside
            node = hashlib.sha256(NODE + pair).digest()
        index, leaves = index // 2, (leaves + 1) // 2
    return None if rest else node
