"""What the consensus service can be told."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from heliograph.common.config import Settings
from heliograph.common.errors import InputError
from heliograph.consensus.catalogue import Chosen, choose
from heliograph.consensus.engine import Engine, Hours, Rules, Weights
from heliograph.consensus.engine.layout import SOURCES
from heliograph.consensus.event_file import read_events
from heliograph.consensus.market import market_hours
from heliograph.consensus.weight_files import read_weights


class ConsensusSettings(Settings):
    """Sources, weights, rules and checkpoints.

    From the environment `HELIOGRAPH_RULES`, `HELIOGRAPH_WEIGHTS` and `HELIOGRAPH_SOURCES` are JSON, for
    example `{"gate": 80}`. Whoever changes rules or weights gives the strategy another version, since ids of
    signals derive from it.
    """

    sources: tuple[str, ...] = Field(
        SOURCES, description="the sources that have a vote; also plug-ins, by entry point or module:attribute"
    )
    strategy: str = Field("default", description="name of the weights, part of each signal's id")
    strategy_version: str = Field("2", description="version of the weights, part of each signal's id")
    weights: dict[str, dict[str, float]] = Field(
        {}, description="view → source → weight; others are defaults"
    )
    weights_file: Path | None = Field(
        None, description="weight set in place of `strategy`, `strategy_version` and `weights`"
    )
    challenger_file: Path | None = Field(
        None, description="second weight set, given some symbols on some days"
    )
    rollout: float = Field(0.0, ge=0, le=1, description="share of symbols and days given to the challenger")
    rules: Rules = Rules()
    events_file: Path | None = Field(
        None, description="CSV of symbol, time, kind: known events around which no signal is given"
    )
    benchmark: str = Field(
        "",
        description="symbol that the swing source takes relative strength over, in shards that get its bars",
    )
    checkpoint_batches: int = Field(
        500, ge=1, description="batches of bars between two checkpoints of a shard"
    )
    checkpoint_s: float = Field(60.0, gt=0, description="seconds between two checkpoints of a shard at work")

    @model_validator(mode="after")
    def _engine_possible(self) -> Self:
        try:
            self.engine()
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def chosen(self) -> Chosen:
        """The sources that are configured.

        Raises:
            InputError: one is unknown.
        """
        return choose(self.sources)

    def table(self) -> Weights:
        """The weights of the strategy.

        Raises:
            InputError: a name or a number is wrong.
        """
        plugins = self.chosen.plugins
        if self.weights_file is not None:
            return read_weights(self.weights_file, self.sources, plugins)
        return Weights(name=self.strategy, version=self.strategy_version, views=self.weights, plugins=plugins)

    def hours(self) -> Hours | None:
        """The hours of the stock market, where a source minds them."""
        return market_hours() if self.chosen.needs_hours else None

    def engine(self) -> Engine:
        """A new engine for a shard.

        Raises:
            InputError: the weights do not fit the sources.
        """
        chosen = self.chosen
        challenger = self.challenger_file
        return Engine(
            self.table(),
            self.rules,
            chosen.kernel,
            benchmark=self.benchmark,
            others=chosen.others,
            hours=self.hours(),
            challenger=read_weights(challenger, self.sources, chosen.plugins) if challenger else None,
            rollout=self.rollout,
            blocks=read_events(self.events_file) if self.events_file else None,
        )
