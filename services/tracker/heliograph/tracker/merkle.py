"""The Merkle root of a list of digests, as RFC 6962 (section 2.1) defines it, with SHA-256. Pure."""

import hashlib
from collections.abc import Iterable

LEAF, NODE = b"\x00", b"\x01"


def root(digests: Iterable[bytes]) -> bytes:
    """The root over the digests in their order; SHA-256 of nothing where there are none."""
    level = [hashlib.sha256(LEAF + digest).digest() for digest in digests]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        # A node without a partner rises as it is: this is the RFC's split at the largest power of two.
        paired = [
            hashlib.sha256(NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)
        ]
        level = paired + level[len(level) // 2 * 2 :]
    return level[0]
