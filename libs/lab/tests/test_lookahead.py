"""The check lets the live engines pass and catches whoever reads a later bar."""

import sys
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest

from heliograph.common.errors import InputError
from heliograph.consensus.engine.history import close_at
from heliograph.consensus.engine.layout import Symbol
from heliograph.consensus.engine.sources import CompiledSource
from heliograph.lab.bars import Bars, bars_of
from heliograph.lab.commands.lookahead_check import lookahead_check
from heliograph.lab.folder import Folder
from heliograph.lab.lookahead import FUTURES, Decide, Facts, check, closes, live_decisions, suspects
from heliograph.lab.strategy import live_strategy

from .conftest import MakeFolder

CUTS = 3


@pytest.fixture
def bars(walks: MakeFolder) -> Bars:
    folder = Folder(walks({"AAPL": 420, "MSFT": 400, "NEW": 90}))
    return bars_of(folder.replay(folder.symbols, 1))


def peeking(honest: Decide) -> Decide:
    """Reads each close one bar early."""

    def decide(bars: Bars) -> Facts:
        early = bars.close.copy()
        early[:-1] = np.where(np.diff(bars.owner) == 0, bars.close[1:], bars.close[:-1])
        high, low = np.maximum(bars.high, early), np.minimum(bars.low, early)
        return honest(msgspec.structs.replace(bars, close=early, high=high, low=low))

    return decide


def scaling(honest: Decide) -> Decide:
    """Scales volumes by the largest one of all time, and leaves out small ones."""

    def decide(bars: Bars) -> Facts:
        share = bars.volume / bars.volume.max()
        return honest(msgspec.structs.replace(bars, volume=np.where(share > 0.5, bars.volume, 0.0)))

    return decide


def choosing(honest: Decide) -> Decide:
    """Keeps only symbols that rise in the end."""

    def decide(bars: Bars) -> Facts:
        ends = bars.close[bars.starts[1:] - 1] > bars.close[bars.starts[:-1]]
        return honest(bars.kept(ends[bars.owner])) if ends.any() else {}

    return decide


def test_the_live_engines_do_not_know_the_future(bars: Bars) -> None:
    for suspect in suspects(live_strategy()):
        finding = check(live_decisions(suspect), bars, suspect.sources, CUTS)
        assert finding.differences == []
        assert finding.compared > 50 * CUTS


def momentum(symbol: Symbol) -> tuple[int, float]:
    """The side of the last three steps together."""
    return (1 if symbol.close > close_at(symbol, 3) else -1), 0.8


def test_a_compiled_plug_in_does_not_know_the_future(bars: Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("momentum_of_a_user")
    module.SOURCE = CompiledSource(key="momentum", minimum_bars=4, weight=0.3, vote=momentum)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    strategy = msgspec.structs.replace(live_strategy(), sources=("trend", "momentum_of_a_user:SOURCE"))
    whole, _, alone = suspects(strategy)
    for suspect in (whole, alone):
        honest = live_decisions(suspect)
        finding = check(honest, bars, suspect.sources, CUTS)
        assert finding.differences == []
        assert finding.compared > 10 * CUTS
    assert check(peeking(honest), bars, alone.sources, CUTS).differences


@pytest.mark.parametrize("cheat", [peeking, scaling, choosing])
def test_a_cheat_is_caught(bars: Bars, cheat: object) -> None:
    strategy = live_strategy()
    assert callable(cheat)
    finding = check(cheat(live_decisions(strategy)), bars, strategy.sources, CUTS)
    assert finding.differences
    for difference in finding.differences:
        assert difference.when <= difference.cut
        assert difference.known != difference.changed


@pytest.mark.parametrize("future", FUTURES)
def test_a_future_leaves_the_past_alone_and_changes_what_comes(bars: Bars, future: str) -> None:
    cut = int(np.median(closes(bars)))
    later = closes(bars) > cut
    other = FUTURES[future](bars, later, np.random.default_rng(1))
    kept = closes(other) <= cut
    assert other.ts[kept].tolist() == bars.ts[~later].tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(other, name)[kept].tolist() == getattr(bars, name)[~later].tolist()
    assert (other.low <= np.minimum(other.open, other.close)).all()
    assert (other.high >= np.maximum(other.open, other.close)).all()
    assert len(other) == int((~later).sum()) or not np.isclose(other.close[later], bars.close[later]).any()


def test_the_command_says_so(
    walks: MakeFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = walks({"AAPL": 300})
    assert lookahead_check(folder, cuts=1) == 0
    assert "none knew the future" in capsys.readouterr().out

    def cheating(strategy: object) -> Decide:
        return peeking(live_decisions(live_strategy()))

    monkeypatch.setattr("heliograph.lab.commands.lookahead_check.live_decisions", cheating)
    assert lookahead_check(folder, cuts=1, json=True) == 1
    assert '"looks_ahead":true' in capsys.readouterr().out


def test_too_few_bars_are_named(walks: MakeFolder) -> None:
    folder: Path = walks({"AAPL": 3})
    with pytest.raises(InputError, match="cuts: 4, expected 1 to 2 with these bars"):
        lookahead_check(folder)
    with pytest.raises(InputError, match="symbols: 0, expected"):
        lookahead_check(folder, symbols=0)
