"""A request to analyse, and what comes of it: JSON in, events and JSON out."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.events import AgentProgress, Prediction, Verdict, VoteBatch
from heliograph.common.ids import derive_id
from heliograph.common.shards import shard_of
from heliograph.reasoning.panel.opinion import Opinion, View
from heliograph.reasoning.panel.panel import Analysis, Step, Task, check
from heliograph.reasoning.panel.portfolio import PanelRules, Portfolio
from heliograph.reasoning.panel.records.known import Source
from heliograph.reasoning.panel.said import Said, bill
from heliograph.reasoning.panel.shortening import shortened

SOURCE = "analysts"
"""The vote that a verdict feeds."""
LOOK_BACK = timedelta(days=365)
SHOWN = 200
RUN_LENGTH = 40


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for, as JSON.

    Attributes:
        start: (`from`) first day of news and insider trades; a year before `asof` when left out.
        asof: (`to`) the day of the analysis; the newest that the data know when left out, at most today.
        run: a name by which to follow the run; derived from the request and the time when left out.
    """

    tickers: tuple[str, ...]
    start: date | None = msgspec.field(default=None, name="from")
    asof: date | None = msgspec.field(default=None, name="to")
    agents: tuple[str, ...] = ()
    portfolio: Portfolio = Portfolio()
    rules: PanelRules = PanelRules()
    run: str = ""

    def __post_init__(self) -> None:
        if self.run and (not self.run.isalnum() or not self.run.isascii() or len(self.run) > RUN_LENGTH):
            raise ValueError(f"run: {self.run!r}, expected up to {RUN_LENGTH} letters and digits")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to; the predictions without questions, answers and figures, which the events carry.

    Attributes:
        missing: ticker → what was not known of it; `limits` how far each may be traded, and why.
        calls: questions that went to a model; `cost` what their answers cost in US dollars.
    """

    run: str
    asof: str
    seconds: float
    calls: int
    cost: float
    verdicts: list[Verdict]
    limits: dict[str, list[str]]
    missing: dict[str, tuple[str, ...]]


_decoder = msgspec.json.Decoder(Request)


def decode(body: bytes) -> Request:
    """A request.

    Raises:
        InputError: it is none.
    """
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        shown = body[:SHOWN].decode(errors="replace")
        raise InputError(f"analyze: {error}, in {shown}") from None


def checked(request: Request, today: date) -> tuple[str, ...]:
    """The analysts of a request that can be run, whatever the data say.

    Raises:
        InputError: its tickers, days or analysts are wrong.
    """
    asof = request.asof or today
    if asof > today:
        raise InputError(f"to: {asof}, expected a day up to {today}")
    start = asof - LOOK_BACK if request.start is None else request.start
    return check(
        Task(tickers=request.tickers, start=start, asof=asof, agents=request.agents, rules=request.rules)
    )


async def newest_of(request: Request, source: Source) -> date | None:
    """The newest day that the source knows of any of the tickers; None while it may not be asked.

    Raises:
        InputError: it has nothing of a ticker, of any day, or a record cannot be read.
        UnavailableError: it does not answer.
    """
    found = await asyncio.gather(*(source.records(ticker) for ticker in request.tickers))
    known = dict(zip(request.tickers, found, strict=True))
    unknown = [repr(t) for t, records in known.items() if records.newest is None and not records.withheld]
    if unknown:
        raise InputError(
            f"tickers: {', '.join(unknown)}, expected those of which there are bars, filings or news"
        )
    return max((records.newest for records in found if records.newest is not None), default=None)


async def task_of(request: Request, source: Source, today: date) -> Task:
    """The task that a request means on a day.

    Raises:
        InputError: the request is wrong, nothing is known of a ticker, or a record cannot be read.
        UnavailableError: the source does not answer.
    """
    checked(request, today)
    newest = await newest_of(request, source)
    asof = min(newest or today, today) if request.asof is None else request.asof
    return Task(
        tickers=request.tickers,
        start=asof - LOOK_BACK if request.start is None else request.start,
        asof=asof,
        agents=request.agents,
        portfolio=request.portfolio,
        rules=request.rules,
    )


def day_of(now_ns: int) -> date:
    """The day in UTC."""
    return datetime.fromtimestamp(now_ns // NANOSECONDS, UTC).date()


def event_time(asof: date, now_ns: int) -> int:
    """The end of the day of the analysis, or now if that is earlier."""
    end = datetime.combine(asof + timedelta(days=1), time(), UTC)
    return min(int(end.timestamp()) * NANOSECONDS, now_ns)


def progress_event(run: str, ts: int, step: Step) -> AgentProgress:
    """What a step is on the bus."""
    return AgentProgress(
        id=derive_id("agent_progress", run, step.agent, step.ticker),
        v=3,
        ts=ts,
        run=run,
        agent=step.agent,
        ticker=step.ticker,
        status=step.status,
        detail=step.detail,
        done=step.done,
        total=step.total,
        by=step.by,
        model=step.said.model,
        tokens_in=step.said.tokens_in,
        tokens_out=step.said.tokens_out,
        cost=step.said.cost,
        cached=step.said.cached,
    )


def verdicts(run: str, ts: int, analysis: Analysis) -> list[Verdict]:
    """The verdict of each ticker, with everything that every analyst said."""
    return [
        Verdict(
            id=derive_id("verdict", run, ticker),
            v=3,
            ts=ts,
            run=run,
            ticker=ticker,
            direction=decision.direction,
            conviction=abs(decision.conviction or 0.0),
            agents=decision.agents,
            action=decision.action,
            quantity=decision.quantity,
            reason=decision.reason,
            asof=analysis.task.asof.isoformat(),
            verdicts=len(analysis.decisions),
            predictions=[_prediction(v, analysis.evidence[ticker][v.agent]) for v in analysis.views[ticker]],
            **msgspec.structs.asdict(bill(analysis.evidence[ticker].values())),
        )
        for ticker, decision in analysis.decisions.items()
    ]


def votes(run: str, found: list[Verdict], shards: int) -> dict[int, VoteBatch]:
    """The verdicts as votes, by shard; one that rests on no opinion is none."""
    by_shard: dict[int, list[Verdict]] = {}
    for verdict in found:
        if verdict.agents:
            by_shard.setdefault(shard_of(verdict.ticker, shards), []).append(verdict)
    return {
        shard: VoteBatch(
            id=derive_id("votes", SOURCE, run, shard),
            cause=group[0].id,
            ts=group[0].ts,
            source=SOURCE,
            symbols=[verdict.ticker for verdict in group],
            direction=[verdict.direction for verdict in group],
            confidence=[verdict.conviction for verdict in group],
            observed=[verdict.ts for verdict in group],
        )
        for shard, group in by_shard.items()
    }


def reply(
    run: str, analysis: Analysis, found: list[Verdict], *, seconds: float, calls: int, cost: float
) -> Reply:
    """The answer to who asked."""
    return Reply(
        run=run,
        asof=analysis.task.asof.isoformat(),
        seconds=round(seconds, 3),
        calls=calls,
        cost=cost,
        verdicts=[shortened(v) for v in found],
        limits={ticker: list(limit.steps) for ticker, limit in analysis.limits.items()},
        missing=analysis.missing,
    )


def _prediction(view: View, exchange: Said) -> Prediction:
    kept = msgspec.structs.asdict(exchange) | {"facts": msgspec.json.encode(view.facts).decode()}
    del kept["provider"]  # `by` says whose word counts
    if isinstance(view, Opinion):
        return Prediction(
            agent=view.agent,
            signal=view.signal,
            confidence=view.confidence,
            reasoning=view.reasoning,
            by=view.by,
            note=view.note,
            **kept,
        )
    return Prediction(
        agent=view.agent, signal="abstain", confidence=0.0, reasoning=view.reason, by="rules", **kept
    )
