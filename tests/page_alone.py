"""A gateway as the page sees it, for tests of the page by itself: nothing listens on a port."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from playwright.sync_api import Page, Route, WebSocketRoute

from heliograph.common.events import Outcome, Reason, Signal
from heliograph.gateway.assets import load
from heliograph.gateway.headers import CONTENT_SECURITY_POLICY

HOME = "http://127.0.0.1:9"


class Gateway:
    """Files, answers by path, and live frames."""

    def __init__(self) -> None:
        self.files = load()
        self.answers: dict[str, Any] = {
            "/api/signals": {"signals": []},
            "/api/stats": {
                **dict.fromkeys(("signals", "open", "wins", "losses", "expired"), 0),
                "win_rate": None,
                "archived": None,
            },
            "/api/alerts": {"alerts": []},
            "/api/history/spend/days": [],
            "/api/history/spend/signals": [],
            "/api/positions": {
                **dict.fromkeys(("total", "ahead", "pnl", "r_multiple"), 0),
                "positions": [],
                "missing_shards": [],
            },
        }
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sockets: list[WebSocketRoute] = []

    def attend(self, page: Page) -> None:
        """Answer whatever the page asks."""
        page.route("**/*", self._serve)
        page.route_web_socket("**/live**", self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)

    def _serve(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        asset = self.files.get("index.html" if path == "/" else path.removeprefix("/static/"))
        if asset is not None:
            headers = {
                "content-type": asset.media_type,
                "content-security-policy": CONTENT_SECURITY_POLICY,
            }
            route.fulfill(body=asset.data, headers=headers)
            return
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        self.asked.append((path, query))
        answer = self.answers.get(path, (404, {"error": f"{path}: unknown"}))
        if callable(answer):
            answer = answer(query, route.request)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    def publish(self, *messages: tuple[str, Any]) -> None:
        """Send one live frame."""
        frame = [{"type": kind, "data": msgspec.to_builtins(data)} for kind, data in messages]
        self.sockets[-1].send(json.dumps(frame))


def record(signal: Signal, reason: Reason | None = None, outcome: Outcome | None = None) -> dict[str, Any]:
    """A signal as the API gives it."""
    found: dict[str, Any] = msgspec.to_builtins(signal)
    return {
        **found,
        "reason": reason and msgspec.to_builtins(reason),
        "outcome": outcome and msgspec.to_builtins(outcome),
    }
