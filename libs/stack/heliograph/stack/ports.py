"""Free ports on loopback."""

import random
import socket
from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 32_000)
"""Below those of outgoing connections on Linux, so that none of these takes a port between two starts."""


def is_free(port: int) -> bool:
    """Whether a server can listen on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(wanted: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name: the wanted one where it is free, else a random one (0: any)."""
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        candidate = port
        while not candidate or candidate in chosen.values() or not is_free(candidate):
            candidate = random.choice(RANGE)  # noqa: S311 - a port is no secret
        chosen[name] = candidate
    return chosen
