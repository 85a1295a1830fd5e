"""Signed requests: HMAC-SHA256 over what is asked, good for five minutes and for once.

What is signed, joined by line feeds: the method, the target (path and query as sent), the time in seconds,
the nonce, and the SHA-256 of the body in hex. The header:

    Authorization: HMAC-SHA256 name=desk,time=1771600000,nonce=8f…,signature=3c…
"""

import hashlib
import hmac
import re

import msgspec

from heliograph.common.errors import InputError

SCHEME = "HMAC-SHA256"
WINDOW_S = 300
PARTS = re.compile(
    r"name=(?P<name>[0-9A-Za-z_.-]{1,64}),\s*time=(?P<time>[0-9]{1,12}),\s*"
    r"nonce=(?P<nonce>[0-9A-Za-z_-]{8,64}),\s*signature=(?P<signature>[0-9a-f]{64})"
)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a signed request says of itself; `time` in seconds since 1970."""

    name: str
    time: int
    nonce: str
    signature: str


def parse(parameters: str) -> Signature:
    """The parameters behind the scheme.

    Raises:
        InputError: they are not of the form.
    """
    found = PARTS.fullmatch(parameters.strip())
    if found is None:
        raise InputError(
            "authorization: expected name=…,time=<seconds>,nonce=<8 to 64>,signature=<64 hex digits>"
        )
    return Signature(
        name=found["name"], time=int(found["time"]), nonce=found["nonce"], signature=found["signature"]
    )


def sign(key: str, method: str, target: str, time: int, nonce: str, body: bytes = b"") -> str:
    """The signature, 64 hex digits, by a key of 64 hex digits."""
    text = "\n".join([method, target, str(time), nonce, hashlib.sha256(body).hexdigest()])
    return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()


def header(name: str, key: str, method: str, target: str, *, time: int, nonce: str, body: bytes = b"") -> str:
    """The value of the Authorization header of a signed request."""
    signature = sign(key, method, target, time, nonce, body)
    return f"{SCHEME} name={name},time={time},nonce={nonce},signature={signature}"


def wrong(given: Signature, key: str, method: str, target: str, body: bytes, now: float) -> str:
    """What is wrong with a signature; empty when nothing is. Whether it came before is for others to say."""
    if abs(now - given.time) > WINDOW_S:
        return f"time: {given.time}, expected within {WINDOW_S} s of {now:.0f}"
    expected = sign(key, method, target, given.time, given.nonce, body)
    if not hmac.compare_digest(expected, given.signature):
        return "signature: not that of this request"
    return ""
