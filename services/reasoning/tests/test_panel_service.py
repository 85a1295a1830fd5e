"""The panel on the real bus: requests, progress, verdicts, votes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.common import metrics
from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.events import AgentProgress, Verdict, VoteBatch
from heliograph.common.service import Context
from heliograph.common.shards import shard_of
from heliograph.reasoning.cache import connect
from heliograph.reasoning.models.port import Answer, Models, Prompt, Refusal
from heliograph.reasoning.panel.company import News
from heliograph.reasoning.panel.records.folder import Folder
from heliograph.reasoning.panel.records.known import Records
from heliograph.reasoning.panel.records.sources import Remembered
from heliograph.reasoning.panel.request import Request, decode, event_time, task_of
from heliograph.reasoning.panel.roster import ANALYSTS
from heliograph.reasoning.panel.runs import Run, Runs
from heliograph.reasoning.panel.service import PanelService
from heliograph.reasoning.service import ReasoningService
from heliograph.reasoning.settings import ReasoningSettings

SAMPLE = next(p / "data/sample" for p in Path(__file__).resolve().parents if (p / "data/sample").is_dir())
Check = Callable[[], Awaitable[Any]]
Eventually = Callable[[Check], Awaitable[Any]]


class Bullish:
    """Models that are bullish on everything, after a moment."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0

    async def ask(self, _: Prompt) -> Answer:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay)
        self.at_once -= 1
        return Answer(
            text=json.dumps({"signal": "bullish", "confidence": 90, "reasoning": "Good."}),
            provider="fake",
            model="fake-1",
            input_tokens=10,
            output_tokens=10,
            cost=0.002,
            latency_s=self.delay,
        )


@pytest.fixture
async def serve(bus: Bus, nats_settings: Settings) -> AsyncIterator[Callable[..., Awaitable[PanelService]]]:
    started: list[PanelService] = []

    async def make(models: Models | None = None, **changes: Any) -> PanelService:
        values = {"nats_url": nats_settings.nats_url, "shards": 4, "panel_data": str(SAMPLE)}
        settings = ReasoningSettings(**{**values, **changes})
        service = PanelService(settings, bus, SYSTEM_CLOCK, models)
        await service.start()
        started.append(service)
        return service

    yield make
    for service in started:
        await service.stop()


async def stored(bus: Bus, stream: str, subject: str, kind: Any) -> list[Any]:
    last = await bus.last_seq(stream)
    return [
        msgspec.json.decode(message.data, type=kind)
        async for message in bus.read(stream, subject, after=0, upto=last)
    ]


async def test_a_request_is_answered_told_and_stored(serve: Any, bus: Bus, eventually: Eventually) -> None:
    service = await serve()
    body = {"tickers": ["SNOW", "AAPL"], "run": "r1"}
    answer = await bus.request("analyze", body, timeout=30)
    assert (answer["run"], answer["asof"], answer["calls"]) == ("r1", "2025-05-30", 0)
    assert [v["ticker"] for v in answer["verdicts"]] == ["SNOW", "AAPL"]
    assert answer["missing"]["SNOW"] == ["prices", "market capitalisation", "insider trades", "news"]
    assert answer["limits"]["SNOW"] == ["fewer than 21 daily prices: no room"]

    async def all_told() -> list[AgentProgress]:
        found = await stored(bus, "ANALYSIS", "analysis.r1.*", AgentProgress | Verdict)
        told = [event for event in found if isinstance(event, AgentProgress)]
        return told if len(told) == 34 else []

    told = await eventually(all_told)
    assert {(step.agent, step.ticker) for step in told} == {
        (agent, ticker)
        for agent in (*ANALYSTS, "risk_manager", "portfolio_manager")
        for ticker in ("SNOW", "AAPL")
    }
    assert {step.total for step in told} == {34}
    found = await stored(bus, "ANALYSIS", "analysis.r1.portfolio_manager", AgentProgress | Verdict)
    verdicts = [event for event in found if isinstance(event, Verdict)]
    assert [verdict.ticker for verdict in verdicts] == ["SNOW", "AAPL"]
    snow = verdicts[0]
    assert snow.asof == "2025-05-30"
    assert snow.verdicts == 2
    assert isinstance(snow.predictions, list)
    assert [p.agent for p in snow.predictions] == list(ANALYSTS)
    kept = {p.agent: p for p in snow.predictions}
    assert json.loads(kept["fundamentals"].facts)["groups"]["health"] == "bullish"
    assert kept["technicals"].signal == "abstain"
    assert service.answered == 1


async def test_a_run_asks_once_for_the_records_of_a_ticker(serve: Any, bus: Bus) -> None:
    """However often it looks at them: what is popular and what is found in memory is counted by runs."""
    await serve()
    found = {result: metrics.CACHE.labels("records", result)._value for result in ("hit", "miss")}
    before = {result: value.get() for result, value in found.items()}
    for _ in range(3):
        await bus.request("analyze", {"tickers": ["SNOW"], "agents": ["fundamentals"]}, timeout=30)
    counted = {result: value.get() - before[result] for result, value in found.items()}
    assert counted == {"miss": 2, "hit": 4}  # Snowflake and the market


async def test_popular_records_are_renewed_while_nobody_asks(
    serve: Any, bus: Bus, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.reasoning.panel.work.RENEW_EVERY_S", 0.01)
    monkeypatch.setattr("heliograph.reasoning.panel.records.sources.AHEAD", 1.0)  # at once
    read: list[str] = []
    records = Folder.records

    async def noted(folder: Folder, ticker: str) -> Records:
        read.append(ticker)
        return await records(folder, ticker)

    monkeypatch.setattr(Folder, "records", noted)
    await serve()
    for ticker in ("SNOW", "SNOW", "AAPL"):
        await bus.request("analyze", {"tickers": [ticker], "agents": ["fundamentals"]}, timeout=30)

    async def renewed() -> bool:
        return read.count("SNOW") == 2

    await eventually(renewed)
    assert read.count("AAPL") == 1


async def test_the_verdict_is_a_vote_of_its_shard(serve: Any, bus: Bus) -> None:
    await serve(Bullish())
    await bus.request("analyze", {"tickers": ["SNOW", "AAPL"], "run": "r2"}, timeout=30)
    shard = shard_of("SNOW", 4)
    (batch,) = await stored(bus, "INPUT", f"input.votes.{shard}", VoteBatch)
    assert (batch.source, batch.symbols, batch.direction) == ("analysts", ["SNOW"], [1])
    # Ten personas at .9 and fundamentals neutral: 9 / 11.
    assert batch.confidence == [pytest.approx(9 / 11)]
    assert batch.observed == [int(datetime(2025, 5, 31, tzinfo=UTC).timestamp()) * 10**9]
    # Of Apple nothing is known on that day: every analyst abstains, and that is no vote.
    assert await bus.last_seq("INPUT") == 1


async def test_prompt_and_answer_are_kept_in_the_event_and_not_in_the_reply(serve: Any, bus: Bus) -> None:
    await serve(Bullish())
    answer = await bus.request(
        "analyze", {"tickers": ["SNOW"], "agents": ["ben_graham"], "run": "r3"}, timeout=30
    )
    (short,) = answer["verdicts"][0]["predictions"]
    assert (short["by"], short["prompt"], short["answer"], short["facts"]) == ("fake", "", "", "{}")
    events = await stored(bus, "ANALYSIS", "analysis.r3.portfolio_manager", AgentProgress | Verdict)
    (kept,) = events[-1].predictions
    assert "You are Ben Graham" in kept.prompt
    assert json.loads(kept.answer)["signal"] == "bullish"
    assert (answer["calls"], answer["cost"]) == (1, 0.002)


async def test_a_rerun_costs_nothing(serve: Any, bus: Bus) -> None:
    models = Bullish()
    await serve(models)
    first = await bus.request("analyze", {"tickers": ["SNOW"]}, timeout=30)
    second = await bus.request("analyze", {"tickers": ["SNOW"]}, timeout=30)
    assert first["calls"] == models.calls == 10
    assert (second["calls"], second["cost"]) == (0, 0.0)
    assert first["run"] != second["run"]
    same = ("ticker", "direction", "conviction", "action", "reason")
    before, after = first["verdicts"][0], second["verdicts"][0]
    assert [after[k] for k in same] == [before[k] for k in same]
    assert [views(p) for p in after["predictions"]] == [views(p) for p in before["predictions"]]
    bill = ("answers", "cached", "tokens_in", "tokens_out", "cost")
    assert [before[k] for k in bill] == [10, 0, 100, 100, pytest.approx(0.02)]
    assert [after[k] for k in bill] == [10, 10, 0, 0, 0.0]


def views(prediction: dict[str, Any]) -> dict[str, Any]:
    """What an agent said, without what it cost."""
    return {k: prediction[k] for k in ("agent", "signal", "confidence", "reasoning", "by", "note")}


async def test_every_agent_tells_what_it_cost(serve: Any, bus: Bus, eventually: Eventually) -> None:
    await serve(Bullish())
    agents = ["ben_graham", "peter_lynch", "fundamentals"]

    async def told(run: str) -> dict[str, AgentProgress]:
        await bus.request("analyze", {"tickers": ["SNOW"], "agents": agents, "run": run}, timeout=30)

        async def whole() -> dict[str, AgentProgress]:
            found = await stored(bus, "ANALYSIS", f"analysis.{run}.*", AgentProgress | Verdict)
            steps = {event.agent: event for event in found if isinstance(event, AgentProgress)}
            return steps if len(steps) == len(agents) + 2 else {}

        return dict(await eventually(whole))

    def bill(step: AgentProgress) -> tuple[Any, ...]:
        return step.v, step.by, step.model, step.tokens_in, step.tokens_out, step.cost, step.cached

    first, again = await told("cost1"), await told("cost2")
    rules = (3, "rules", "", 0, 0, 0.0, False)
    for agent in ("ben_graham", "peter_lynch"):
        assert bill(first[agent]) == (3, "fake", "fake-1", 10, 10, 0.002, False)
        assert bill(again[agent]) == (3, "fake", "fake-1", 0, 0, 0.0, True)
    for agent in ("fundamentals", "risk_manager", "portfolio_manager"):
        assert bill(first[agent]) == bill(again[agent]) == rules


async def test_the_verdict_belongs_to_the_trace_of_its_request(serve: Any, bus: Bus) -> None:
    await serve()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = json.dumps({"tickers": ["SNOW"], "agents": ["fundamentals"], "run": "t1"}).encode()
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    await bus.client.request("analyze", body, timeout=30, headers=headers)
    last = await bus.last_seq("ANALYSIS")
    found = [m async for m in bus.read("ANALYSIS", "analysis.t1.*", after=0, upto=last)]
    assert len(found) == 4
    assert {message.headers["traceparent"].split("-")[1] for message in found} == {trace}


async def test_how_agents_end_is_counted(serve: Any, bus: Bus) -> None:
    def counted() -> dict[str, float]:
        ends = ("done", "by_rules", "abstained", "failed")
        return {end: metrics.PANEL_AGENTS.labels(end)._value.get() for end in ends}

    class Refusing:
        async def ask(self, _: Prompt) -> Refusal:
            return Refusal(reason="budget", detail="spent")

    before = counted()
    await serve(Refusing())
    await bus.request("analyze", {"tickers": ["SNOW"]}, timeout=30)
    grown = {end: count - before[end] for end, count in counted().items()}
    assert grown == {"done": 1, "by_rules": 10, "abstained": 4, "failed": 0}


async def test_requests_do_not_wait_for_each_other(serve: Any, bus: Bus) -> None:
    models = Bullish(delay=1.0)
    await serve(models)
    days = [f"2025-06-{day:02}" for day in range(1, 9)]
    answers = await asyncio.gather(
        *(bus.request("analyze", {"tickers": ["SNOW"], "to": day}, timeout=30) for day in days)
    )
    assert models.most_at_once > 4 * 10  # ten personas of each run ask
    assert [answer["asof"] for answer in answers] == days


async def test_replicas_share_the_requests(serve: Any, bus: Bus) -> None:
    services = [await serve(), await serve()]
    for number in range(12):
        await bus.request("analyze", {"tickers": ["AAPL"], "run": f"x{number}"}, timeout=30)
    assert sum(service.answered for service in services) == 12
    assert all(service.answered for service in services)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"tickers": []}, "tickers"),
        ({"tickers": ["SNOW"], "agents": ["nobody"]}, "nobody"),
        ({"tickers": ["SNOW"], "to": "soon"}, "analyze"),
        ({"tickers": ["SNOW"], "to": "2999-01-01"}, "to: 2999-01-01"),
        ({"tickers": ["SNOW"], "run": "a.b"}, "letters and digits"),
        ({"tickers": ["SNOW"], "unknown": 1}, "unknown"),
        ({"tickers": ["NOPE"]}, "tickers: 'NOPE'"),
        ({"tickers": ["SNOW"], "portfolio": {"cash": -1}}, "cash"),
        ({}, "tickers"),
    ],
)
async def test_a_wrong_request_is_refused_by_name(
    serve: Any, bus: Bus, body: dict[str, Any], told: str
) -> None:
    await serve()
    with pytest.raises(InputError, match=told):
        await bus.request("analyze", body, timeout=30)


async def test_a_stop_leaves_nothing_running(serve: Any, bus: Bus, eventually: Eventually) -> None:
    models = Bullish(delay=60)
    service = await serve(models)
    asked = asyncio.create_task(bus.request("analyze", {"tickers": ["SNOW"]}, timeout=0.5))

    async def asking() -> bool:
        return models.calls == 10

    await eventually(asking)
    await service.stop()
    with pytest.raises(UnavailableError):
        await asked
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
    assert not any("PanelService" in name or "Asking" in name for name in names)


async def test_the_service_of_reasoning_answers_with_its_redis(
    bus: Bus, nats_settings: Settings, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.reasoning.service.wanted", lambda _: False)
    settings = ReasoningSettings(
        nats_url=nats_settings.nats_url, shards=4, panel_data=str(SAMPLE), redis_url=redis_server.url
    )
    service = ReasoningService()
    context = Context(name="reasoning", member="one", settings=settings, bus=bus, clock=SYSTEM_CLOCK)
    await service.start(context)
    answer = await bus.request("analyze", {"tickers": ["SNOW"], "agents": ["fundamentals"]}, timeout=30)
    assert answer["verdicts"][0]["predictions"][0]["signal"] == "neutral"
    assert (await service.status())["analyses"] == 1
    await service.stop()


def test_event_time_is_the_end_of_the_day_or_now() -> None:
    end = int(datetime(2018, 2, 8, tzinfo=UTC).timestamp()) * 10**9
    assert event_time(date(2018, 2, 7), 2**62) == end
    assert event_time(date(2018, 2, 7), end - 5) == end - 5


class Newest:
    """A source that knows each ticker up to some day."""

    def __init__(self, days: dict[str, date]) -> None:
        self._days = days

    async def records(self, ticker: str) -> Records:
        day = self._days.get(ticker)
        if day is None:
            return Records()
        return Records(news=(News(published=day, title="x"),))


class Withheld:
    """A source that may not be asked now."""

    async def records(self, _: str) -> Records:
        return Records(withheld=True)


async def test_the_day_is_the_newest_that_the_data_know() -> None:
    source = Newest({"A": date(2024, 1, 5), "B": date(2024, 2, 5)})
    request = Request(tickers=("A", "B"))
    task = await task_of(request, source, date(2026, 1, 1))
    assert (task.start, task.asof) == (date(2023, 2, 5), date(2024, 2, 5))
    assert (await task_of(request, source, date(2024, 1, 20))).asof == date(2024, 1, 20)
    assert (await task_of(request, Withheld(), date(2026, 1, 1))).asof == date(2026, 1, 1)
    given = decode(b'{"tickers": ["A"], "from": "2024-01-01", "to": "2024-01-03"}')
    task = await task_of(given, source, date(2026, 1, 1))
    assert (task.start, task.asof) == (date(2024, 1, 1), date(2024, 1, 3))


@pytest.mark.parametrize("asof", [None, date(2024, 1, 3)])
async def test_a_ticker_of_which_nothing_is_known_is_refused(asof: date | None) -> None:
    source = Newest({"A": date(2024, 1, 5)})
    with pytest.raises(InputError, match=r"^tickers: 'C', 'D', expected those of which there are bars"):
        await task_of(Request(tickers=("C", "A", "D"), asof=asof), source, date(2026, 1, 1))


async def test_a_run_is_begun_at_once_and_followed(serve: Any, bus: Bus, eventually: Eventually) -> None:
    models = Bullish(delay=0.05)
    await serve(models)
    begun = await bus.request("query.reasoning.start", {"tickers": ["SNOW", "AAPL"], "run": "live1"})
    assert (begun["run"], begun["state"], begun["total"], begun["done"]) == ("live1", "running", 34, 0)
    assert begun["agents"] == list(ANALYSTS)

    async def ended() -> Any:
        told = await bus.request("query.reasoning.run", {"run": "live1"})
        return told if told["state"] == "done" else None

    told = await eventually(ended)
    assert (told["done"], told["error"]) == (34, "")
    assert told["ended_ts"] > told["started_ts"]
    assert told["cost"] == pytest.approx(told["calls"] * 0.002)
    assert {step["agent"] for step in told["progress"]} >= set(ANALYSTS)
    assert [v["ticker"] for v in told["verdicts"]] == ["SNOW", "AAPL"]
    assert {p["prompt"] for v in told["verdicts"] for p in v["predictions"]} == {""}
    await bus.request("analyze", {"tickers": ["SNOW"], "agents": ["ben_graham"], "run": "later"}, timeout=30)
    listed = await bus.request("query.reasoning.runs", {"limit": 5})
    assert [(run["run"], run["state"]) for run in listed["runs"]] == [("later", "done"), ("live1", "done")]
    assert len((await bus.request("query.reasoning.runs", {"limit": 1}))["runs"]) == 1
    with pytest.raises(InputError, match="'nobody', expected one of the last seven days"):
        await bus.request("query.reasoning.run", {"run": "nobody"})


async def test_a_wrong_run_is_refused_and_a_failed_one_says_why(
    bus: Bus, serve: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve()
    for body, told in (
        ({"tickers": []}, "tickers"),
        ({"tickers": ["A"], "agents": ["nobody"]}, "nobody"),
        ({"tickers": ["SNOW", "NOPE"]}, "tickers: 'NOPE', expected"),
    ):
        with pytest.raises(InputError, match=told):
            await bus.request("query.reasoning.start", body)
    assert (await bus.request("query.reasoning.runs", {}))["runs"] == []

    async def broken(*_: Any) -> Any:
        raise UnavailableError("the disk is gone")

    monkeypatch.setattr(Remembered, "_told", broken)
    await bus.request("query.reasoning.start", {"tickers": ["SNOW"], "run": "bad"})

    async def failed() -> Any:
        (run,) = (await bus.request("query.reasoning.runs", {}))["runs"]
        return run if run["state"] == "failed" else None

    assert (await eventually(failed))["error"] == "the disk is gone"


async def test_replicas_share_the_list_of_runs(redis_server: Any) -> None:
    """One whose process died in the middle is told as lost."""
    clients = [connect(redis_server.url), connect(redis_server.url)]
    one, two = (Runs(client, SYSTEM_CLOCK) for client in clients)
    run = Run(run="a", tickers=("SNOW",), agents=("ben_graham",), total=3, started_ts=SYSTEM_CLOCK.now_ns())
    old = msgspec.structs.replace(run, run="b", started_ts=run.started_ts - 3_600 * 10**9)
    await one.put(old)
    await one.put(run)
    assert await two.newest(5) == [run, msgspec.structs.replace(old, state="lost")]
    assert await two.get("a") == run
    assert await two.get("c") is None
    redis_server.kill()
    assert await two.newest(5) == []
    await two.put(run)
    assert (await two.newest(5), await two.get("a")) == ([run], run)
    for client in clients:
        assert client is not None
        await client.aclose()
