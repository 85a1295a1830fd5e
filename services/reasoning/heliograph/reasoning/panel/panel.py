"""A run of the panel: all analysts of all tickers at once, then risk, then the portfolio manager."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Literal

import msgspec
import structlog

from heliograph.common.errors import InputError
from heliograph.common.subjects import check_symbol
from heliograph.reasoning.panel import prompts
from heliograph.reasoning.panel.agents import portfolio_manager, risk
from heliograph.reasoning.panel.agents.portfolio_manager import Decision, decide, quantity
from heliograph.reasoning.panel.agents.risk import Limit
from heliograph.reasoning.panel.asking import Asking, NoAnswer
from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.opinion import Abstention, Opinion, View, percent
from heliograph.reasoning.panel.portfolio import PanelRules, Portfolio
from heliograph.reasoning.panel.prompts import Figures
from heliograph.reasoning.panel.records.known import Source, company
from heliograph.reasoning.panel.roster import ANALYSTS, PERSONAS, chosen
from heliograph.reasoning.panel.said import NOTHING, Said, said

MOST_TICKERS = 50
MANAGERS = 2
"""They sit in every run: for risk, and for the portfolio."""
MARKET = "SPY"
"""Whose bars stand for the whole market, where the source has them."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to analyse.

    Attributes:
        start: first day of the news and insider trades; `asof` the day of the analysis.
        agents: the analysts; all of them when empty.
    """

    tickers: tuple[str, ...]
    start: date
    asof: date
    agents: tuple[str, ...] = ()
    portfolio: Portfolio = Portfolio()
    rules: PanelRules = PanelRules()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One agent has ended with one ticker; `done` of `total` have. `said` tells what its model cost."""

    agent: str
    ticker: str
    status: Literal["done", "abstained"]
    detail: str
    done: int
    total: int
    by: str = "rules"
    said: Said = NOTHING


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of a run, ticker by ticker in the order of the task.

    Attributes:
        missing: what was not known of each ticker.
        evidence: ticker → agent → what it and its model said, the portfolio manager's included.
    """

    task: Task
    views: dict[str, list[View]]
    limits: dict[str, Limit]
    decisions: dict[str, Decision]
    missing: dict[str, tuple[str, ...]]
    evidence: dict[str, dict[str, Said]]


Progress = Callable[[Step], Awaitable[None]]


async def silent(_: Step) -> None:
    """Nobody looks on."""


def check(task: Task) -> tuple[str, ...]:
    """The analysts of a task.

    Raises:
        InputError: a ticker, the days or an analyst are wrong.
    """
    if not 0 < len(task.tickers) <= MOST_TICKERS or len(set(task.tickers)) < len(task.tickers):
        raise InputError(f"tickers: {', '.join(task.tickers)!r}, expected 1 to {MOST_TICKERS} different ones")
    for ticker in task.tickers:
        check_symbol(ticker)
    if task.start > task.asof:
        raise InputError(f"from: {task.start} is after {task.asof}, expected a day up to it")
    for name in task.rules.weights:
        chosen([name])
    return chosen(task.agents)


class Panel:
    """Runs tasks on one source of records.

    Args:
        source: where records come from.
        asking: the models; without them every opinion is by rules, and says so.
        without_model: what a persona does whose model was asked and gives no answer.
        manager_asks: whether the portfolio manager asks a model too: a second call after the first ones.
    """

    def __init__(
        self,
        source: Source,
        asking: Asking | None = None,
        *,
        without_model: Literal["score", "abstain"] = "score",
        manager_asks: bool = False,
    ) -> None:
        self._source = source
        self._asking = asking
        self._without_model = without_model
        self._manager_asks = manager_asks

    async def run(self, task: Task, progress: Progress = silent) -> Analysis:
        """Analyse; what one agent cannot do makes it abstain and nothing else.

        Raises:
            InputError: the task is wrong, or a record cannot be read.
            UnavailableError: the source does not answer.
        """
        run = _Run(self, task, check(task), progress)
        return await run.whole()

    async def load(self, task: Task) -> dict[str, Company]:
        """What was known of each ticker, read at once."""
        market, *records = await asyncio.gather(
            *(self._source.records(ticker) for ticker in (MARKET, *task.tickers))
        )
        # In threads: fifty runs at once would hold up the calls of each other for a second.
        known = await asyncio.gather(
            *(
                asyncio.to_thread(company, ticker, found, task.start, task.asof, market.prices)
                for ticker, found in zip(task.tickers, records, strict=True)
            )
        )
        return dict(zip(task.tickers, known, strict=True))

    async def judge(self, agent: str, known: Company, figures: Figures) -> tuple[View, Said]:
        """An analyst's view, with what it and its model said to each other."""
        try:
            view = ANALYSTS[agent](known)
            if self._asking is None or agent not in PERSONAS or isinstance(view, Abstention):
                return view, NOTHING
            return await self._voiced(self._asking, figures, view)
        except Exception as error:
            # One agent that fails must not take the run with it.
            await log.aexception("an agent failed", agent=agent, ticker=known.ticker)
            reason = f"failed: {error!r}"
            return Abstention(agent=agent, ticker=known.ticker, reason=reason, failed=True), NOTHING

    async def _voiced(self, asking: Asking, figures: Figures, view: Opinion) -> tuple[View, Said]:
        prompt = prompts.persona_prompt(PERSONAS[view.agent], figures, view)
        question = f"{prompt.system}\n{prompt.user}"
        try:
            reply, answer = await asking.ask(prompt, prompts.Judgement)
        except NoAnswer as error:
            return self._unvoiced(view, error), said(question, error.answer)
        spoken = msgspec.structs.replace(
            view,
            signal=reply.signal,
            confidence=reply.confidence / 100,
            reasoning=reply.reasoning,
            by=answer.provider,
        )
        return spoken, said(question, answer)

    def _unvoiced(self, view: Opinion, error: NoAnswer) -> View:
        """What a persona says whose model said nothing: what the rules found, marked so, or nothing."""
        if self._without_model == "abstain":
            reason = f"no model answered: {error}"
            return Abstention(
                agent=view.agent, ticker=view.ticker, reason=reason, facts=view.facts, failed=True
            )
        return msgspec.structs.replace(view, note=f"by rules, since no model answered: {error}")

    async def phrase(self, decision: Decision, views: list[View], rules: PanelRules) -> tuple[Decision, Said]:
        """The decision as a model would put it: another legal action at most, and its reason."""
        if self._asking is None or not self._manager_asks or decision.conviction is None:
            return decision, NOTHING
        prompt = prompts.manager_prompt(decision, [view for view in views if isinstance(view, Opinion)])
        question = f"{prompt.system}\n{prompt.user}"
        try:
            reply, answer = await self._asking.ask(prompt, prompts.Choice)
        except NoAnswer as error:
            return decision, said(question, error.answer)
        exchange = said(question, answer)
        if reply.action not in decision.legal:
            return decision, exchange
        shares = quantity(reply.action, max(abs(decision.conviction), rules.act_beyond), decision.legal)
        phrased = msgspec.structs.replace(
            decision,
            action=reply.action if shares else "hold",
            quantity=shares,
            reason=reply.reason[: portfolio_manager.LONGEST],
            by=answer.provider,
        )
        return phrased, exchange


class _Run:
    """One run's count of what has ended."""

    def __init__(self, panel: Panel, task: Task, agents: tuple[str, ...], progress: Progress) -> None:
        self._panel = panel
        self._task = task
        self._agents = agents
        self._progress = progress
        self._done = 0
        self._total = len(task.tickers) * (len(agents) + MANAGERS)

    async def whole(self) -> Analysis:
        task = self._task
        companies = await self._panel.load(task)
        pairs = [(ticker, agent) for ticker in task.tickers for agent in self._agents]
        figures = {ticker: prompts.figures(known) for ticker, known in companies.items()}
        judged = await asyncio.gather(
            *(self._one(agent, companies[ticker], figures[ticker]) for ticker, agent in pairs)
        )
        views: dict[str, list[View]] = {ticker: [] for ticker in task.tickers}
        evidence: dict[str, dict[str, Said]] = {ticker: {} for ticker in task.tickers}
        for (ticker, agent), (view, exchange) in zip(pairs, judged, strict=True):
            views[ticker].append(view)
            evidence[ticker][agent] = exchange
        limits = risk.limits({t: c.prices for t, c in companies.items()}, task.portfolio)
        for limit in limits.values():
            ended: Literal["done", "abstained"] = "abstained" if limit.price is None else "done"
            await self._tell(risk.NAME, limit.ticker, ended, "; ".join(limit.steps))
        decided = await asyncio.gather(*(self._decide(t, views[t], limits[t]) for t in task.tickers))
        for ticker, (_, exchange) in zip(task.tickers, decided, strict=True):
            evidence[ticker][portfolio_manager.NAME] = exchange
        return Analysis(
            task=task,
            views=views,
            limits=limits,
            decisions={t: decision for t, (decision, _) in zip(task.tickers, decided, strict=True)},
            missing={ticker: known.missing for ticker, known in companies.items()},
            evidence=evidence,
        )

    async def _one(self, agent: str, known: Company, figures: Figures) -> tuple[View, Said]:
        view, exchange = await self._panel.judge(agent, known, figures)
        if isinstance(view, Opinion):
            detail = f"{view.signal} {percent(view.confidence)}"
            await self._tell(agent, known.ticker, "done", detail, by=view.by, exchange=exchange)
        else:
            await self._tell(agent, known.ticker, "abstained", view.reason, exchange=exchange)
        return view, exchange

    async def _decide(self, ticker: str, views: list[View], limit: Limit) -> tuple[Decision, Said]:
        decision = decide(views, limit, self._task.portfolio, self._task.rules)
        decision, exchange = await self._panel.phrase(decision, views, self._task.rules)
        status: Literal["done", "abstained"] = "abstained" if decision.conviction is None else "done"
        detail = f"{decision.action} {decision.quantity}: {decision.reason}"
        name = portfolio_manager.NAME
        await self._tell(name, ticker, status, detail, by=decision.by, exchange=exchange)
        return decision, exchange

    async def _tell(
        self,
        agent: str,
        ticker: str,
        status: Literal["done", "abstained"],
        detail: str,
        *,
        by: str = "rules",
        exchange: Said = NOTHING,
    ) -> None:
        self._done += 1
        await self._progress(
            Step(
                agent=agent,
                ticker=ticker,
                status=status,
                detail=detail,
                done=self._done,
                total=self._total,
                by=by,
                said=exchange,
            )
        )
