"""Ports that can be listened on, and stay what they were."""

import socket

from heliograph.stack.ports import LOOPBACK, choose, is_free


def test_a_free_port_stays() -> None:
    first = choose({"a": 0, "b": 0})
    assert len(set(first.values())) == 2
    assert choose(first) == first


def test_a_taken_port_is_replaced() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        assert not is_free(taken)
        chosen = choose({"a": taken})
        assert chosen["a"] != taken
        assert is_free(chosen["a"])


def test_two_names_never_share_a_port() -> None:
    port = choose({"a": 0})["a"]
    chosen = choose({"a": port, "b": port})
    assert chosen["a"] == port
    assert chosen["b"] != port
