"""Rows as COPY takes them in binary: nothing is formatted here and parsed there."""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from psycopg import AsyncConnection
from psycopg.adapt import Dumper
from psycopg.pq import Format

TEXT, INT4, TEXT_ARRAY, JSONB = 25, 23, 1009, 3802
"""Type numbers (PostgreSQL, src/include/catalog/pg_type.dat)."""
JSONB_VERSION = b"\x01"


class _Int4(Dumper):
    """The library's own takes the lower half of a number that is too big."""

    format = Format.BINARY
    oid = INT4

    def dump(self, obj: int) -> bytes:
        try:
            return struct.pack("!i", obj)
        except struct.error:
            raise OverflowError(f"{obj}, expected a number of 32 bits") from None


class _Jsonb(Dumper):
    """JSON that is encoded already."""

    format = Format.BINARY
    oid = JSONB

    def dump(self, obj: str) -> bytes:
        return JSONB_VERSION + obj.encode()


class _TextArray(Dumper):
    """A list of texts; the same ones come again and again."""

    format = Format.BINARY
    oid = TEXT_ARRAY

    def dump(self, obj: list[str]) -> bytes:
        return text_array(tuple(obj))


@lru_cache(4096)
def text_array(texts: tuple[str, ...]) -> bytes:
    """An array of one dimension as the server sends and takes it (src/backend/utils/adt/arrayfuncs.c)."""
    if not texts:
        return struct.pack("!iiI", 0, 0, TEXT)
    elements = [text.encode() for text in texts]
    head = struct.pack("!iiIii", 1, 0, TEXT, len(elements), 1)
    return head + b"".join(struct.pack("!i", len(element)) + element for element in elements)


class Copy(Protocol):
    """What is used of a copy."""

    def set_types(self, types: Sequence[int | str]) -> None:
        """The types of the columns."""

    async def write_row(self, row: Sequence[Any]) -> None:
        """Send a row."""


async def prepare(connection: AsyncConnection[Any]) -> None:
    """Have COPY on this connection use the forms above, and nothing else: parameters keep the library's."""
    for kind in (_Int4, _Jsonb, _TextArray):
        connection.adapters.register_dumper(_Unused, kind)


class _Unused:
    """The forms are found by the column's type, not by the type of a value."""


async def write(copy: Copy, types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Send rows.

    Raises:
        OverflowError: a number does not fit its column.
    """
    copy.set_types(types)
    for row in rows:
        await copy.write_row(row)
