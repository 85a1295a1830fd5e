"""What the page and the API ask of the record, beside `queries`: lists, days, and one signal's proof."""

from functools import partial

from heliograph.common.bus import Bus
from heliograph.tracker.database import Database
from heliograph.tracker.queries import GROUP, SignalQuery, answering
from heliograph.tracker.views.outcomes import OutcomesQuery, outcomes
from heliograph.tracker.views.performance import PerformanceQuery, performance
from heliograph.tracker.views.proof import prove
from heliograph.tracker.views.symbols import SymbolsQuery, symbols


async def register(bus: Bus, database: Database) -> None:
    """Answer `query.tracker.outcomes`, `symbols`, `performance` and `proof`, one replica a request."""
    for name, answer in (
        ("outcomes", answering(OutcomesQuery, partial(outcomes, database))),
        ("symbols", answering(SymbolsQuery, partial(symbols, database))),
        ("performance", answering(PerformanceQuery, partial(performance, database))),
        ("proof", answering(SignalQuery, partial(prove, database))),
    ):
        await bus.respond(f"query.tracker.{name}", answer, queue=GROUP)
