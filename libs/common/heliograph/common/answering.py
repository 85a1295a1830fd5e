"""Requests of others over the bus: JSON in, JSON out, and a wrong one refused by name."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from heliograph.common.errors import InputError

SHOWN = 200
"""Bytes of a wrong request that the refusal shows."""
Q = TypeVar("Q")


def answering(kind: type[Q], answer: Callable[[Q], Awaitable[object]]) -> Callable[[bytes], Awaitable[bytes]]:
    """A responder that decodes the query, refuses one that is none by name, and encodes the answer."""
    decoder = msgspec.json.Decoder(kind)

    async def respond(body: bytes) -> bytes:
        try:
            query = decoder.decode(body or b"{}")
        except msgspec.DecodeError as error:
            raise InputError(f"query: {error}, in {body[:SHOWN].decode(errors='replace')}") from None
        return msgspec.json.encode(await answer(query))

    return respond
