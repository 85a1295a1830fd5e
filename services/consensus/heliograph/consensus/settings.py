"""What the consensus service can be told."""

from typing import Self

from pydantic import Field, model_validator

from heliograph.common.config import Settings
from heliograph.common.errors import InputError
from heliograph.consensus.engine import Engine, Rules, Weights
from heliograph.consensus.engine.layout import SOURCES


class ConsensusSettings(Settings):
    """Sources, weights, rules and checkpoints.

    From the environment `HELIOGRAPH_RULES`, `HELIOGRAPH_WEIGHTS` and `HELIOGRAPH_SOURCES` are JSON, for
    example `{"gate": 80}`. Whoever changes rules or weights gives the strategy another version, since ids of
    signals derive from it.
    """

    sources: tuple[str, ...] = Field(SOURCES, description="the sources that have a vote")
    strategy: str = Field("default", description="name of the weights, part of each signal's id")
    strategy_version: str = Field("2", description="version of the weights, part of each signal's id")
    weights: dict[str, dict[str, float]] = Field(
        {}, description="view → source → weight; others are defaults"
    )
    rules: Rules = Rules()
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

    def table(self) -> Weights:
        """The weights of the strategy.

        Raises:
            InputError: a name or a number is wrong.
        """
        return Weights(name=self.strategy, version=self.strategy_version, views=self.weights)

    def engine(self) -> Engine:
        """A new engine for a shard.

        Raises:
            InputError: the weights do not fit the sources.
        """
        return Engine(self.table(), self.rules, self.sources, benchmark=self.benchmark)
