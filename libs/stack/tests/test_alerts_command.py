"""`heliograph alerts` as a process, asked of a real gateway that delivers to a real web server."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError, UnavailableError
from heliograph.stack.commands.alerts import show_alerts, show_tries
from heliograph.stack.options import Options
from heliograph.stack.stack import Stack
from heliograph.stack.state import State

HELIOGRAPH = str(Path(sys.executable).with_name("heliograph"))


@pytest.fixture
def bodies() -> Iterator[list[dict[str, Any]]]:
    """What a web server was sent; its port is in `bodies[0]`."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken.append({"port": server.server_address[1]})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield taken
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def gateway(
    state: State, tmp_path: Path, bodies: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bus]:
    """The bus of a gateway with one target that takes alerts and one that is away."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as free:
        away = free.server_address[1]
    urls = {"hook": f"json://127.0.0.1:{bodies[0]['port']}", "away": f"json://127.0.0.1:{away}/{{TOKEN}}"}
    monkeypatch.setenv("HELIOGRAPH_ALERT_TARGETS", json.dumps({n: {"url": u} for n, u in urls.items()}))
    monkeypatch.setenv("TOKEN", "never-shown")
    monkeypatch.setenv("HELIOGRAPH_ALERTS_EVERY_S", "0.2")
    options = Options(data=tmp_path, speed=None, shards=2, gateway_port=0)
    async with Stack(state, options, names=("gateway",)) as stack:
        bus = await stack.connect()
        yield bus
        await bus.close()


async def command(state: State, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        HELIOGRAPH,
        "alerts",
        *arguments,
        "--state",
        str(state.folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_a_real_gateway_watches_and_tries_its_targets(
    gateway: Bus, state: State, bodies: list[dict[str, Any]], eventually: Any
) -> None:
    async def watched() -> bool:
        try:
            return bool((await gateway.request("query.gateway.alerts", {}, 1))["alerts"])
        except UnavailableError:
            return False

    await eventually(watched)
    # Of all services only the gateway runs, and it sees that the others do not.
    code, printed = await command(state, "list", "--json")
    listed = json.loads(printed)
    missing = {alert["labels"]["service"] for alert in listed["alerts"] if alert["name"] == "ServiceMissing"}
    assert code == 0
    assert missing >= {"tracker", "archiver"}
    assert "gateway" not in missing
    assert listed["targets"] == [
        {"name": "hook", "severity": "warning"},
        {"name": "away", "severity": "warning"},
    ]
    code, printed = await command(state, "test", "--json")
    hook, away = json.loads(printed)["targets"]
    assert (code, hook["delivered"], away["delivered"]) == (1, True, False)
    assert "never-shown" not in printed
    assert bodies[1]["name"] == "Test"
    with pytest.raises(InputError, match="target: 'nobody', expected one of alert_targets: hook, away"):
        await gateway.request("query.gateway.alerts_test", {"target": "nobody"})


def shown(show: Any, said: dict[str, Any]) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        show(console, said)
    return captured.get()


def test_alerts_are_shown_with_their_remedy() -> None:
    alert = {
        "name": "ServiceDown",
        "severity": "critical",
        "phase": "firing",
        "since": 1_800_000_000 * 10**9,
        "summary": "tracker: [no] replica answers",
        "remedy": "Look at its log.",
    }
    text = shown(show_alerts, {"alerts": [alert], "targets": [{"name": "ops", "severity": "critical"}]})
    for part in ("firing", "ServiceDown", "2027-01-15 08:00 UTC", "[no] replica", "Look at its log."):
        assert part in text
    assert "delivered to ops (from critical on)" in text
    assert "delivered to nobody" in shown(show_alerts, {"alerts": [], "targets": []})


def test_tries_are_shown_with_their_reason() -> None:
    tried = {"target": "ops", "delivered": False, "reason": "ops: refused"}
    assert "ops: not delivered ops: refused" in shown(show_tries, {"targets": [tried]})
    assert "no targets" in shown(show_tries, {"targets": []})
