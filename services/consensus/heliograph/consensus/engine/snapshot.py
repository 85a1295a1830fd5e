"""A shard's state as bytes: a magic, a version, a SHA-256, and the state.

Not compressed: prices gave 46 % less at 30 MB/s, which costs a shard more time than the larger object does.
"""

import hashlib

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.consensus.engine.layout import COUNTS, SOURCES, SYMBOL
from heliograph.consensus.engine.state import INITIAL_ROWS, State

MAGIC = b"HELIOGRAPH-CONSENSUS"
VERSION = 2
"""Goes up with every change of `layout`, or of what its fields mean."""
HEADER = len(MAGIC) + 2 + hashlib.sha256().digest_size


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a snapshot holds: the records in use as little-endian bytes, and how to read them."""

    layout: str
    seq: int
    head: str
    names: list[str]
    counts: list[int]
    symbols: bytes


def layout_name() -> str:
    """The records and columns that this program keeps, in words."""
    return repr((SYMBOL.descr, SOURCES, COUNTS))


def pack(state: State, seq: int, head: str) -> bytes:
    """The state after the INPUT message `seq`, `head` being the sha256 of the shard's last signal."""
    body = msgspec.msgpack.encode(
        Content(
            layout=layout_name(),
            seq=seq,
            head=head,
            names=state.names,
            counts=state.counts.tolist(),
            symbols=state.symbols[: len(state.names)].tobytes(),
        )
    )
    return MAGIC + VERSION.to_bytes(2, "big") + hashlib.sha256(body).digest() + body


def unpack(data: bytes) -> tuple[State, int, str]:
    """The state, the sequence and the head of a snapshot.

    Raises:
        InputError: it is damaged, or of another version or layout.
    """
    content = _checked(data)
    if len(content.counts) != len(COUNTS):
        raise InputError(f"snapshot: {len(content.counts)} counts, expected {len(COUNTS)}")
    state = State(max(INITIAL_ROWS, len(content.names)))
    state.add(content.names)
    if len(state.names) != len(content.names):
        raise InputError("snapshot: a symbol is there twice, expected each once")
    used = state.symbols[: len(state.names)]
    if len(content.symbols) != used.nbytes:
        raise InputError(f"snapshot: {len(content.symbols)} bytes of symbols, expected {used.nbytes}")
    used[...] = np.frombuffer(content.symbols, SYMBOL)
    state.counts[:] = content.counts
    return state, content.seq, content.head


def _checked(data: bytes) -> Content:
    if not data.startswith(MAGIC) or len(data) < HEADER:
        raise InputError("snapshot: not one of this service")
    version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "big")
    if version != VERSION:
        raise InputError(
            f"snapshot: version {version}, expected {VERSION}; remove the checkpoint to start anew"
        )
    body = data[HEADER:]
    if hashlib.sha256(body).digest() != data[len(MAGIC) + 2 : HEADER]:
        raise InputError("snapshot: damaged, its SHA-256 does not fit")
    try:
        content = msgspec.msgpack.decode(body, type=Content)
    except msgspec.DecodeError as error:
        raise InputError(f"snapshot: cannot be read: {error}") from error
    if content.layout != layout_name():
        raise InputError(f"snapshot: layout {content.layout}, expected {layout_name()}")
    return content
