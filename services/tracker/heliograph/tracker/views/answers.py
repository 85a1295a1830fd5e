"""What the page and the API ask of the record, beside `queries`: lists, days, and one signal's proof."""

from functools import partial

from heliograph.common.answering import answering
from heliograph.common.bus import Bus
from heliograph.tracker.database import Database
from heliograph.tracker.queries import GROUP, SignalQuery
from heliograph.tracker.views.outcomes import OutcomesQuery, outcomes
from heliograph.tracker.views.performance import PerformanceQuery, performance
from heliograph.tracker.views.proof import prove
from heliograph.tracker.views.symbols import SymbolsQuery, symbols


async def register(bus: Bus, database: Database, reader: Database) -> None:
    """Answer `query.tracker.outcomes`, `symbols`, `performance` and `proof`, one replica a request.

    A proof comes from the database itself, since it may be of a signal of this moment.
    """
    for name, answer in (
        ("outcomes", answering(OutcomesQuery, partial(outcomes, reader))),
        ("symbols", answering(SymbolsQuery, partial(symbols, reader))),
        ("performance", answering(PerformanceQuery, partial(performance, reader))),
        ("proof", answering(SignalQuery, partial(prove, database))),
    ):
        await bus.respond(f"query.tracker.{name}", answer, queue=GROUP)
