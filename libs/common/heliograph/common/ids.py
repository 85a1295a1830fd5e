"""Ids derived from inputs, so that a redelivered input yields the same output id."""

import hashlib

SEPARATOR = "\x1f"


def derive_id(*parts: str | int) -> str:
    """The first 16 hex digits of the SHA-256 over the parts, separated by ASCII unit separators."""
    return hashlib.sha256(SEPARATOR.join(map(str, parts)).encode()).hexdigest()[:16]
