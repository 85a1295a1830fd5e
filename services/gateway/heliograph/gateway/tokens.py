"""The tokens of the API: a TOML file that holds hashes of bearer tokens and keys of signed requests.

[[token]]
name = "dashboard"
scopes = ["read", "run"]
sha256 = "…"    # of the bearer token, 64 hex digits

[[token]]
name = "desk"
scopes = ["read"]
hmac = "…"      # the key that this one's requests are signed with, 64 hex digits
"""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from structlog import get_logger

from heliograph.common.clock import Clock
from heliograph.common.errors import ConfigError
from heliograph.gateway.operation_records import Scope

LOOK_S = 2.0
"""How often the file is looked at: a token that was taken out of it works no longer than that."""

Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z_.-]{1,64}$")]

log = get_logger(__name__)


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token: what it may do, and either the hash of what is shown or the key of its signatures."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    sha256: Hex | None = None
    hmac: Hex | None = None

    def __post_init__(self) -> None:
        if (self.sha256 is None) == (self.hmac is None):
            raise ValueError(f"{self.name}: expected either sha256 or hmac")


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    token: list[Token] = []


def digest(shown: str) -> str:
    """What the file holds of a bearer token. SHA-256 is enough: it is random, nobody guesses it."""
    return hashlib.sha256(shown.encode()).hexdigest()


def read(path: Path) -> list[Token]:
    """The tokens of a file.

    Raises:
        ConfigError: it cannot be read, is not of this form, or names one twice.
    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=File).token
    except OSError as error:
        raise ConfigError(f"gateway_tokens_file: {str(path)!r}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"gateway_tokens_file: {str(path)!r}: {error}") from None
    twice = [name for name, count in Counter(token.name for token in found).items() if count > 1]
    if twice:
        raise ConfigError(f"gateway_tokens_file: {str(path)!r}: {twice[0]} stands in it twice")
    return found


class Tokens:
    """The tokens as the file has them now; while it is broken, those that it had before."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = clock.monotonic()
        self._state = self._stat()
        self._take(read(path))

    def by_bearer(self, shown: str) -> Token | None:
        """The token that a client shows."""
        self._look()
        return self._bearers.get(digest(shown))

    def by_name(self, name: str) -> Token | None:
        """The token by which a client says that it has signed."""
        self._look()
        return self._signers.get(name)

    def _take(self, tokens: list[Token]) -> None:
        self._bearers: dict[str, Token] = {t.sha256: t for t in tokens if t.sha256}
        self._signers: dict[str, Token] = {t.name: t for t in tokens if t.hmac}

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        state = self._stat()
        if state == self._state:
            return
        self._state = state
        try:
            self._take(read(self._path))
        except ConfigError as error:
            log.warning("tokens not read again", error=str(error))

    def _stat(self) -> tuple[int, int, int] | Literal["away"]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - one call, three fields
        except OSError:
            return "away"
        return found.st_mtime_ns, found.st_size, found.st_ino
