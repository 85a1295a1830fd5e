"""The pure engine of the consensus service: the same for the live path, a replay and a backtest."""

from heliograph.consensus.engine.blocks import Blocks
from heliograph.consensus.engine.engine import Engine, warm
from heliograph.consensus.engine.hours import Hours
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.weights import Weights

__all__ = ["Blocks", "Engine", "Hours", "Rules", "Weights", "warm"]
