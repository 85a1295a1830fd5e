"""One signal on the command line: how its votes add up, and the proof that is walked here."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from heliograph.common.errors import InputError
from heliograph.stack.commands.one_signal import adds_up, age, check_id, climbed, show, show_proof
from heliograph.tracker import merkle

GOLDEN = Path(__file__).parents[2] / "common" / "tests" / "golden"
LEAVES = [hashlib.sha256(bytes([n])).digest() for n in range(11)]


def signal(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((GOLDEN / "signal.v1.json").read_bytes())
    votes = [
        {"source": "trend", "direction": 1, "confidence": 0.9, "weight": 0.7, "age_ns": 0},
        {"source": "swing", "direction": -1, "confidence": 0.2, "weight": 0.3, "age_ns": 7_200 * 10**9},
    ]
    return found | {"votes": votes, "raw_confidence": 59.85, "reason": None, "outcome": None} | changes


def test_votes_add_up_to_the_raw_confidence() -> None:
    total = adds_up(signal())
    assert total["parts"] == pytest.approx({"trend": 0.63, "swing": -0.06})
    assert total["consensus"] == pytest.approx(57.0)
    assert total["factor"] == pytest.approx(1.05)
    assert adds_up(signal(votes=[]))["factor"] is None


def test_a_person_sees_votes_prices_reason_and_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    reason = msgspec.json.decode((GOLDEN / "reason.v1.json").read_bytes())
    outcome = msgspec.json.decode((GOLDEN / "outcome.v1.json").read_bytes())
    for found in (signal(), signal(reason=reason, outcome=outcome, prev_sha256="")):
        show(Console(file=sys.stdout, width=100), found | {"sum": adds_up(found)})
        told = capsys.readouterr().out
        for part in ("trend", "long", "+63.00", "swing", "short", "-6.00", "2.0 h", "57.00 × 1.050"):
            assert part in told
        assert (found["id"] in told, found["sha256"] in told) == (True, True)
        assert ("none yet" in told, "open" in told) == (found["reason"] is None, found["outcome"] is None)
    assert reason["text"] in told
    assert f"{outcome['result']} at {outcome['exit']:g}" in told
    assert "none: the first of its shard" in told


@given(st.integers(1, len(LEAVES)), st.data())
def test_the_way_to_the_root_is_walked(count: int, data: st.DataObject) -> None:
    leaves = LEAVES[:count]
    index = data.draw(st.integers(0, count - 1))
    proof = {
        "day": "2026-03-01",
        "root": merkle.root(leaves).hex(),
        "leaves": count,
        "index": index,
        "leaf": leaves[index].hex(),
        "proof": [node.hex() for node in merkle.path(leaves, index)],
    }
    assert climbed(proof)["ok"] is True
    assert climbed(proof | {"leaf": LEAVES[(index + 1) % len(LEAVES)].hex()})["ok"] is False
    assert climbed(proof | {"root": "00" * 32})["ok"] is False


def test_without_a_root_there_is_nothing_to_walk() -> None:
    assert climbed(None)["ok"] is None
    assert climbed({"root": None})["ok"] is None


@pytest.mark.parametrize(("ok", "verdict"), [(True, "nothing speaks"), (False, "not as it was written")])
def test_what_was_checked_is_shown(*, ok: bool, verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        {"name": "hash", "ok": ok, "text": "its sha256"},
        {"name": "day", "ok": None, "text": "[today]"},
    ]
    found = {"id": "a", "sha256": "b", "prev_sha256": "", "previous": None, "next": None, "ok": ok}
    show_proof(Console(file=sys.stdout, width=100), found | {"checks": checks, "block": None, "merkle": None})
    told = capsys.readouterr().out
    assert verdict in told
    assert "[today]" in told


@pytest.mark.parametrize(
    "wrong", ["", "xyz", "0F3A9C41D27BE865", "0f3a9c41d27be86", "0f3a9c41d27be8655", " " * 16]
)
def test_what_is_no_id_is_named(wrong: str) -> None:
    with pytest.raises(InputError, match="expected an id of 16 hex digits"):
        check_id(wrong)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, "0 s"), (59.5, "59.5 s"), (90.0, "1.5 min"), (5400.0, "1.5 h"), (2e5, "2.3 d")],
)
def test_an_age_has_its_unit(seconds: float, told: str) -> None:
    assert age(seconds) == told
