"""A shard's state as bytes: a magic, a version, a SHA-256, and the state.

Not compressed: prices gave 46 % less at 30 MB/s, which costs a shard more time than the larger object does.
"""

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from heliograph.common.errors import InputError
from heliograph.common.patterns import PatternCase
from heliograph.consensus.engine.layout import COUNTS, HEARD, MEMORY, PENDING, SOURCES, SYMBOL
from heliograph.consensus.engine.others import Others
from heliograph.consensus.engine.state import INITIAL_ROWS, State

MAGIC = b"HELIOGRAPH-CONSENSUS"
VERSION = 5
"""Goes up with every change of `layout`, or of what its fields mean."""
HEADER = len(MAGIC) + 2 + hashlib.sha256().digest_size


class OtherVersionError(InputError):
    """A snapshot of another version of this program: whole, but not to be read."""


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a snapshot holds: the records in use as little-endian bytes, and how to read them."""

    layout: str
    seq: int
    head: str
    names: list[str]
    counts: list[int]
    symbols: bytes
    others: "OthersContent | None" = None


class OthersContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is held of the other sources, by columns; `memory` and `cases` where one of them is `pattern`."""

    keys: list[str]
    last: list[int]
    votes: int
    refused: int
    heard: bytes
    pending: bytes
    memory: bytes = b""
    cases: list[PatternCase] = []


def layout_name() -> str:
    """The records and columns that this program keeps, in words."""
    return repr((SYMBOL.descr, SOURCES, COUNTS, HEARD.descr, PENDING.descr))


def pack(
    state: State, seq: int, head: str, others: Others | None = None, cases: Sequence[PatternCase] = ()
) -> bytes:
    """The state after the INPUT message `seq`, `head` being the sha256 of the shard's last signal."""
    body = msgspec.msgpack.encode(
        Content(
            layout=layout_name(),
            seq=seq,
            head=head,
            names=state.names,
            counts=state.counts.tolist(),
            symbols=state.symbols[: len(state.names)].tobytes(),
            others=_pack_others(others, state, cases) if others is not None else None,
        )
    )
    return MAGIC + VERSION.to_bytes(2, "big") + hashlib.sha256(body).digest() + body


def _pack_others(others: Others, state: State, cases: Sequence[PatternCase]) -> OthersContent:
    others.grow(state)
    used = len(state.names)
    return OthersContent(
        keys=others.keys,
        last=others.last.tolist(),
        votes=others.votes,
        refused=others.refused,
        heard=others.heard[:used].tobytes(),
        pending=others.pending[:used].tobytes(),
        memory=others.memory[:used].tobytes(),
        cases=list(cases),
    )


def _unpack_others(content: OthersContent, others: Others, state: State) -> None:
    """Fill the other sources, which know nothing yet: those that are still configured.

    Raises:
        InputError: the parts do not fit.
    """
    rows, columns = len(state.names), len(content.keys)
    sizes = rows * columns * HEARD.itemsize, rows * PENDING.itemsize
    if (len(content.heard), len(content.pending)) != sizes or len(content.last) != columns:
        raise InputError(f"snapshot: other sources of {len(content.heard)} bytes, expected {sizes[0]}")
    others.clear()
    others.grow(state)
    heard = np.frombuffer(content.heard, HEARD).reshape(rows, columns)
    for column, key in enumerate(content.keys):
        if key in others.keys:
            place = others.keys.index(key)
            others.heard[:rows, place] = heard[:, column]
            others.last[place] = content.last[column]
    if content.keys == others.keys:
        others.pending[:rows] = np.frombuffer(content.pending, PENDING)
    others.votes, others.refused = content.votes, content.refused
    if others.memory.size and content.memory:
        if len(content.memory) != rows * MEMORY.itemsize:
            raise InputError(
                f"snapshot: {len(content.memory)} bytes of cases, expected {rows * MEMORY.itemsize}"
            )
        others.memory[:rows] = np.frombuffer(content.memory, MEMORY)


def unpack(data: bytes, others: Others | None = None) -> tuple[State, int, str, list[PatternCase]]:
    """State, sequence, head and cases of a snapshot; what it has of `others` is put into them.

    Raises:
        OtherVersionError: it is of another version or layout.
        InputError: it is damaged.
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
    if others is not None:
        if content.others is not None:
            _unpack_others(content.others, others, state)
        else:
            others.clear()
    return state, content.seq, content.head, content.others.cases if content.others is not None else []


def _checked(data: bytes) -> Content:
    if not data.startswith(MAGIC) or len(data) < HEADER:
        raise InputError("snapshot: not one of this service")
    version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "big")
    if version != VERSION:
        raise OtherVersionError(f"snapshot: version {version}, expected {VERSION}")
    body = data[HEADER:]
    if hashlib.sha256(body).digest() != data[len(MAGIC) + 2 : HEADER]:
        raise InputError("snapshot: damaged, its SHA-256 does not fit")
    try:
        content = msgspec.msgpack.decode(body, type=Content)
    except msgspec.DecodeError as error:
        raise InputError(f"snapshot: cannot be read: {error}") from error
    if content.layout != layout_name():
        raise OtherVersionError(f"snapshot: layout {content.layout}, expected {layout_name()}")
    return content
