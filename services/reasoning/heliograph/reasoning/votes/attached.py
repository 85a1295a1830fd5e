"""The sources of votes as the settings want them; imported only where there is a key."""

from collections.abc import Sequence

from heliograph.common.service import Context
from heliograph.common.spend.shared import connect
from heliograph.common.spend.usage import Usage
from heliograph.reasoning.cache import ExplanationCache
from heliograph.reasoning.models.build import BuiltModels
from heliograph.reasoning.models.ordered import OrderedModels
from heliograph.reasoning.settings import ReasoningSettings
from heliograph.reasoning.votes.record import LIVES, is_record
from heliograph.reasoning.votes.service import Votes
from heliograph.reasoning.votes.voter import Voter

PREFIX = "heliograph:v1:vote:"
KEPT_S = max(max(life.open_s, life.closed_s) for life in LIVES.values())


def attached(context: Context, settings: ReasoningSettings, built: BuiltModels, usage: Usage) -> Votes:
    """The voters of the settings; `close` the votes before the models.

    Raises:
        ConfigError: `redis_url` is not one.
    """
    cache = ExplanationCache(
        context.clock,
        connect(settings.redis_url),
        settings.explanation_cache_size,
        KEPT_S,
        prefix=PREFIX,
        sound=is_record,
        name="votes",
    )

    def voter(source: str, ordered: OrderedModels, names: Sequence[str]) -> Voter:
        return Voter(source, ordered, names, cache, usage, context.clock)

    voters = []
    if "models" in settings.vote_sources:
        voters.append(voter("models", built.ordered, settings.models))
    if built.research is not None:
        voters.append(voter("research", built.research, settings.research_models))
    return Votes(voters, cache, context.bus, context.clock)
