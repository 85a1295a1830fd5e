"""The web application: the page, the API, the WebSocket and the health of the gateway."""

from importlib.metadata import version

from litestar import Litestar, Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from heliograph.common.bus import Bus
from heliograph.common.clock import Clock
from heliograph.gateway import overview
from heliograph.gateway.api import Api
from heliograph.gateway.assets import assets_router, load
from heliograph.gateway.headers import SecurityHeaders
from heliograph.gateway.hub import Hub
from heliograph.gateway.live import live
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import Health
from heliograph.gateway.refusals import HANDLERS, broken

HELD_S = 1.0


@get("/healthz", summary="Whether this gateway can answer")
async def healthz(bus: NamedDependency[Bus]) -> Response[Health]:
    """200 with `pass`, or 503 with what is wrong."""
    found = problems(bus)
    return Response(
        Health(status="fail" if found else "pass", problems=found),
        status_code=HTTP_503_SERVICE_UNAVAILABLE if found else HTTP_200_OK,
    )


def problems(bus: Bus) -> dict[str, str]:
    """Why the gateway cannot answer; empty when it can."""
    return {} if bus.client.is_connected else {"nats": "not connected, trying again"}


def create_app(bus: Bus, hub: Hub, clock: Clock) -> SecurityHeaders:
    """The application over a connected bus and a running hub."""
    owners = Owners(bus)
    stats = Recent(owners.stats, HELD_S, clock.monotonic)
    system = Recent(lambda: overview.look(bus), HELD_S, clock.monotonic)
    app = Litestar(
        route_handlers=[Api, healthz, live, assets_router(load())],
        dependencies={
            "bus": Provide(lambda: bus, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "owners": Provide(lambda: owners, sync_to_thread=False),
            "stats": Provide(lambda: stats, sync_to_thread=False),
            "overview": Provide(lambda: system, sync_to_thread=False),
        },
        exception_handlers={**HANDLERS, Exception: broken},
        openapi_config=OpenAPIConfig(
            title="Heliograph",
            version=version("heliograph-gateway"),
            description="Trading signals with their reasons, votes and outcomes.",
            path="/schema",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    return SecurityHeaders(app)
