"""A strategy: weights, rules and sources under a name and a version, from a file or from the settings."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from heliograph.common.config import load
from heliograph.common.errors import InputError
from heliograph.consensus.catalogue import choose
from heliograph.consensus.engine import Engine, Rules, Weights
from heliograph.consensus.engine.sources import CompiledSource
from heliograph.consensus.event_file import read_events
from heliograph.consensus.market import market_hours
from heliograph.consensus.settings import ConsensusSettings
from heliograph.consensus.weight_files import read_weights


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine needs to decide.

    Attributes:
        weights: what each source counts for, by view, with name and version.
        rules: the numbers of votes, gate and prices.
        sources: names of those that have a vote, as in the configuration.
        benchmark: symbol that strength is relative to, in its shard; empty for none.
        challenger: a second weight set that gets a share `rollout` (0–1) of symbols and days.
        events: file of known events around which no signal is given.
    """

    weights: Weights
    rules: Rules
    sources: tuple[str, ...]
    benchmark: str = ""
    challenger: Weights | None = None
    rollout: float = 0.0
    events: Path | None = None

    @property
    def name(self) -> str:
        """Name and version, as signals carry them."""
        return self.weights.strategy

    @property
    def keys(self) -> tuple[str, ...]:
        """The sources' keys, as votes carry them."""
        chosen = choose(self.sources)
        return (*chosen.kernel, *(source.key for source in chosen.others))

    @property
    def by_columns(self) -> bool:
        """Whether the kernel alone decides, on each symbol's own bars, by one weight set."""
        within = all(isinstance(other, CompiledSource) for other in choose(self.sources).others)
        return within and not (self.benchmark or self.challenger or self.events)

    def engine(self) -> Engine:
        """A new engine.

        Raises:
            InputError: the weights do not fit the sources.
        """
        chosen = choose(self.sources)
        return Engine(
            self.weights,
            self.rules,
            chosen.kernel,
            benchmark=self.benchmark,
            others=chosen.others,
            hours=market_hours() if chosen.needs_hours else None,
            challenger=self.challenger,
            rollout=self.rollout,
            blocks=read_events(self.events) if self.events is not None else None,
        )


class WeightsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A weight set as a TOML file: as the consensus service takes it, and rules besides.

    Attributes:
        name: part of each signal's id, as is `version`; give another version with every change.
        sources: those that have a vote; as the settings say when there are none here.
        views: view → source → weight; each view named here sums to 1 within .05.
        rules: numbers that differ from the settings, such as `gate`.
    """

    name: str
    version: str
    sources: tuple[str, ...] = ()
    views: Mapping[str, Mapping[str, float]] = {}
    rules: Mapping[str, float] = {}


def live_strategy() -> Strategy:
    """The strategy that the consensus service would run with here.

    Raises:
        ConfigError: a setting is wrong.
    """
    settings = load(ConsensusSettings)
    plugins = settings.chosen.plugins
    file = settings.challenger_file
    return Strategy(
        weights=settings.table(),
        rules=settings.rules,
        sources=settings.sources,
        benchmark=settings.benchmark,
        challenger=read_weights(file, settings.sources, plugins) if file is not None else None,
        rollout=settings.rollout,
        events=settings.events_file,
    )


def read_strategy(path: Path) -> Strategy:
    """The strategy of a weights file; what it leaves open is as the settings say.

    Raises:
        InputError: the file cannot be read, or a name, a source, a sum or a rule is wrong.
    """
    try:
        given = msgspec.toml.decode(path.read_bytes(), type=WeightsFile)
    except OSError as error:
        raise InputError(f"weights: {str(path)!r} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InputError(f"weights: {path}: {error}") from error
    default = live_strategy()
    try:
        sources = given.sources or default.sources
        views = given.views or default.weights.views
        plugins = choose(sources).plugins
        weights = Weights(name=given.name, version=given.version, views=views, plugins=plugins)
        strategy = Strategy(
            weights=weights,
            rules=rules_of(default.rules, given.rules),
            sources=sources,
            benchmark=default.benchmark,
            events=default.events,
        )
        strategy.engine()
    except InputError as error:
        raise InputError(f"weights: {path}: {error}") from error
    off = weights.warnings()
    if off:
        raise InputError(f"weights: {path}: {'; '.join(off).replace(' (they are normalised)', '')}")
    return strategy


def rules_of(default: Rules, changes: Mapping[str, Any]) -> Rules:
    """The rules with some numbers changed.

    Raises:
        InputError: a name or a number is wrong.
    """
    try:
        return Rules(**{**default.model_dump(), **changes})
    except ValidationError as error:
        told = [f"rules.{'.'.join(map(str, e['loc']))}: {e['input']!r}, {e['msg']}" for e in error.errors()]
        raise InputError("; ".join(told)) from None


def write_strategy(path: Path, strategy: Strategy) -> None:
    """Write a strategy as a weights file that `read_strategy` reads back as the same.

    Raises:
        InputError: it cannot be written.
    """
    default = live_strategy().rules.model_dump()
    rules = {name: value for name, value in strategy.rules.model_dump().items() if value != default[name]}
    lines = [f'name = "{strategy.weights.name}"', f'version = "{strategy.weights.version}"']
    lines.append("sources = [" + ", ".join(f'"{source}"' for source in strategy.sources) + "]")
    for title, row in [*((f"views.{v}", r) for v, r in strategy.weights.views.items()), ("rules", rules)]:
        if row:
            lines += ["", f"[{title}]", *(f"{name} = {value!r}" for name, value in row.items())]
    try:
        path.write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise InputError(f"weights: {str(path)!r} cannot be written ({error.strerror})") from error
