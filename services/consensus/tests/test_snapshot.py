"""A snapshot that is damaged, cut or foreign is refused with the reason, and changes nothing."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.common.errors import InputError
from heliograph.common.events import BarBatch
from heliograph.consensus.engine import Engine, snapshot

Walk = Callable[..., list[BarBatch]]


@pytest.fixture(scope="module")
def engine(walk: Walk) -> Engine:
    made = Engine()
    for seq, batch in enumerate(walk(1, ["A", "B", "C"], 120), 1):
        made.apply(batch, seq)
    return made


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_changed_byte_is_found(engine: Engine, data: st.DataObject) -> None:
    good = engine.snapshot()
    position = data.draw(st.integers(0, len(good) - 1))
    flip = data.draw(st.integers(1, 255))
    bad = bytearray(good)
    bad[position] ^= flip
    with pytest.raises(InputError, match="snapshot: "):
        Engine().restore(bytes(bad))


@pytest.mark.parametrize("cut", [0, 1, 20, 21, 60, 1000, -1])
def test_a_cut_snapshot_is_found(engine: Engine, cut: int) -> None:
    with pytest.raises(InputError, match="snapshot: "):
        Engine().restore(engine.snapshot()[:cut])


def test_another_version_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    data = engine.snapshot()
    monkeypatch.setattr(snapshot, "VERSION", snapshot.VERSION + 1)
    with pytest.raises(InputError, match="version 5, expected 6"):
        Engine().restore(data)


def test_another_layout_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    data = engine.snapshot()
    monkeypatch.setattr(snapshot, "SOURCES", ("trend", "technical"))
    with pytest.raises(InputError, match="layout"):
        Engine().restore(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["A", "B"]}, "bytes of symbols, expected"),
        ({"names": ["A", "B", "B"]}, "a symbol is there twice"),
        ({"names": ["A", "B", ""]}, "symbol: ''"),
        ({"counts": [1]}, "1 counts, expected"),
    ],
)
def test_parts_that_do_not_fit_are_found(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], message: str
) -> None:
    content = snapshot.Content

    def altered(**fields: object) -> snapshot.Content:
        return content(**{**fields, **change})  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "Content", altered)
        data = engine.snapshot()
    other = Engine()
    with pytest.raises(InputError, match=message):
        other.restore(data)
    assert other.symbols == 0


def test_content_of_another_shape_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "Content", lambda **_: msgspec.defstruct("Other", [("x", int)])(1))
        data = engine.snapshot()
    with pytest.raises(InputError, match="cannot be read"):
        Engine().restore(data)


def test_an_empty_engine_has_a_snapshot() -> None:
    engine = Engine()
    engine.restore(Engine().snapshot())
    assert engine.symbols == 0
    assert engine.seq == 0


def test_it_is_compact(engine: Engine) -> None:
    assert len(engine.snapshot()) < 3 * 3300 + 2000
