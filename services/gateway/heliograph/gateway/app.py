"""The web application: the page, the API, the WebSocket and the health of the gateway."""

from importlib.metadata import version

from litestar import Litestar, Response, get
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from heliograph.common.bus import Bus
from heliograph.common.clock import Clock
from heliograph.gateway import overview
from heliograph.gateway.access import Access
from heliograph.gateway.alert_list import alert_page
from heliograph.gateway.api import Api
from heliograph.gateway.assets import assets_router, load
from heliograph.gateway.headers import SecurityHeaders
from heliograph.gateway.history_api import HistoryApi
from heliograph.gateway.hub import Hub
from heliograph.gateway.live import live
from heliograph.gateway.operations_api import OperationsApi
from heliograph.gateway.owners import Owners
from heliograph.gateway.recent import Recent
from heliograph.gateway.records import Health
from heliograph.gateway.refusals import HANDLERS, broken
from heliograph.gateway.results_api import ResultsApi
from heliograph.gateway.signing import SCHEME

HELD_S = 1.0
LEAST_COMPRESSED = 1024
"""Bytes of an answer: under this the headers weigh more than what is saved."""
COMPRESSION = 5
"""Nearly as small as the highest, at a third of its time."""


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


def create_app(bus: Bus, hub: Hub, clock: Clock, access: Access, body_bytes: int) -> SecurityHeaders:
    """The application over a connected bus and a running hub; bodies have at most so many bytes."""
    owners = Owners(bus)
    stats = Recent(owners.stats, HELD_S, clock.monotonic)
    system = Recent(lambda: overview.look(bus), HELD_S, clock.monotonic)
    alerts = Recent(lambda: alert_page(bus), HELD_S, clock.monotonic)
    app = Litestar(
        route_handlers=[Api, ResultsApi, OperationsApi, HistoryApi, healthz, live, assets_router(load())],
        dependencies={
            "bus": Provide(lambda: bus, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "owners": Provide(lambda: owners, sync_to_thread=False),
            "stats": Provide(lambda: stats, sync_to_thread=False),
            "overview": Provide(lambda: system, sync_to_thread=False),
            "alerts": Provide(lambda: alerts, sync_to_thread=False),
        },
        exception_handlers={**HANDLERS, Exception: broken},
        compression_config=CompressionConfig(
            backend="gzip",
            minimum_size=LEAST_COMPRESSED,
            gzip_compress_level=COMPRESSION,
            exclude=["^/$", "^/static"],
        ),
        request_max_body_size=body_bytes,
        openapi_config=openapi(access),
        state=State({"access": access}),
        logging_config=None,
    )
    return SecurityHeaders(app)


def openapi(access: Access) -> OpenAPIConfig:
    """The document of the API; it asks for a token where one is needed."""
    schemes = {
        "bearer": SecurityScheme(type="http", scheme="bearer", description="a token of `heliograph token`"),
        "signature": SecurityScheme(
            type="apiKey",
            name="Authorization",
            security_scheme_in="header",
            description=f"`{SCHEME} name=…,time=…,nonce=…,signature=…`, see the page on the API",
        ),
    }
    return OpenAPIConfig(
        title="Heliograph",
        version=version("heliograph-gateway"),
        description="Trading signals with their reasons, votes and outcomes, and what runs behind them.",
        components=Components(security_schemes=dict(schemes)),
        security=[{name: []} for name in schemes] if access.needs_token else None,
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        use_handler_docstrings=True,
    )
