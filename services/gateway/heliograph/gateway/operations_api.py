"""The REST API of operations: panel runs, spending, alerts, health, and who asks."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import Body, QueryParameter
from litestar.status_codes import HTTP_202_ACCEPTED

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError
from heliograph.common.subjects import check_symbol
from heliograph.gateway import parameters as p
from heliograph.gateway.access import GUARDS, Caller
from heliograph.gateway.checkup import checkup
from heliograph.gateway.operation_records import (
    AlertPage,
    Checkup,
    Me,
    Run,
    RunDetail,
    RunPage,
    RunRequest,
    Spend,
    StartedRun,
)
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import System
from heliograph.gateway.refusals import HANDLERS
from heliograph.gateway.responses import EVERYWHERE, UNKNOWN, refusal

LIFE_S = 30.0
"""For the answer to a start: a record that is read for the first time takes seconds."""

AlertState = Annotated[
    Literal["firing", "resolved"] | None,
    QueryParameter(name="state", description="only those that fire, or are over"),
]
Level = Annotated[
    int,
    QueryParameter(ge=1, le=3, description="1: this gateway; 2: the services too; 3: archive and record too"),
]
RunBody = Annotated[RunRequest, Body(description="what the panel is asked")]


class OperationsApi(Controller):
    """What a client can ask about operations, and the panel runs that it can start."""

    path = "/api"
    guards = GUARDS
    exception_handlers = HANDLERS
    responses = EVERYWHERE
    tags = ("operations",)

    @get("/me", summary="Who asks, and what they may do")
    async def me(self, request: Request[Caller, Any, Any]) -> Me:
        """The token's name and scopes; all scopes where no token is needed."""
        caller = request.user
        return Me(auth="token" if caller.known else "off", name=caller.name, scopes=list(caller.scopes))

    @get("/spend", summary="Today's spending on models against the budgets")
    async def spend(self, owners: NamedDependency[Owners]) -> Spend:
        """Budgets, providers, cost per signal, and the month."""
        return await owners.ask("query.reasoning.spend", {}, Spend)

    @post(
        "/run",
        summary="Start a run of the panel",
        status_code=HTTP_202_ACCEPTED,
        opt={"scope": "run"},
        responses={413: refusal("the body is too large")},
    )
    async def start(self, owners: NamedDependency[Owners], data: RunBody) -> StartedRun:
        """Returns at once; follow it at `stream`, or by `agent_progress` and `verdict` of /live."""
        asked = {
            "tickers": [check_symbol(ticker) for ticker in data.tickers],
            "from": data.start and data.start.isoformat(),
            "to": data.asof and data.asof.isoformat(),
            "agents": list(data.agents) or None,
            "portfolio": _portfolio(data),
            "run": data.run,
        }
        run = await owners.ask("query.reasoning.start", asked, Run, LIFE_S)
        fields = {name: getattr(run, name) for name in Run.__struct_fields__}
        return StartedRun(**fields, stream=f"/api/runs/{run.run}")

    @get("/runs", summary="Runs of the panel, newest first")
    async def runs(self, owners: NamedDependency[Owners], limit: p.Limit = 20) -> RunPage:
        """Runs of the last week."""
        return await owners.ask("query.reasoning.runs", {"limit": limit}, RunPage)

    @get("/runs/{run:str}", summary="One run of the panel", responses={404: UNKNOWN})
    async def run(self, owners: NamedDependency[Owners], run: p.RunName) -> RunDetail:
        """One run with its progress and its verdicts."""
        if not p.RUN.fullmatch(run):
            raise InputError(f"run: {run!r}, expected 1 to 40 letters and digits")
        try:
            return await owners.ask("query.reasoning.run", {"run": run}, RunDetail)
        except InputError as error:
            raise NotFoundException(str(error)) from error

    @get("/alerts", summary="Alerts of the last week")
    async def alerts(
        self, alerts: NamedDependency[Recent[AlertPage]], status: AlertState = None
    ) -> AlertPage:
        """Those that fire first, then the newest first; at most a second old."""
        page = await alerts.get()
        if status is None:
            return page
        return AlertPage(alerts=[alert for alert in page.alerts if alert.state == status])

    @get("/health", summary="Whether all is well, check by check")
    async def health(
        self,
        bus: NamedDependency[Bus],
        overview: NamedDependency[Recent[System]],
        owners: NamedDependency[Owners],
        level: Level = 2,
    ) -> Checkup:
        """The checks up to a level; answers 200 whatever they find, see /healthz for a probe."""
        return await checkup(bus, overview, owners, level)


def _portfolio(asked: RunRequest) -> dict[str, Any] | None:
    """What is held, as the owner takes it."""
    if asked.portfolio is None:
        return None
    held: dict[str, Any] = msgspec.to_builtins(asked.portfolio)
    return held | {
        "positions": {check_symbol(ticker): held["positions"][ticker] for ticker in held["positions"]}
    }
