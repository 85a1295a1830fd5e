"""What the tests of alerts stand on: a clock that they move, sinks for messages, members that measure."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes, policy
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

from heliograph.common import samples
from heliograph.common.alerts import Table, table
from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.events import Alert
from heliograph.common.members import Membership
from heliograph.common.spend.keys import Keys
from heliograph.gateway.alerts import measuring
from heliograph.gateway.alerts.notify import Notifier
from heliograph.gateway.alerts.settings import AlertTarget
from heliograph.gateway.alerts.watch import Watch

START = 1_800_000_000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def nats(folder: Path) -> Iterator[str]:
    """A real NATS server for several tests; its URL."""
    port = free_port()
    binary = Path(sys.executable).with_name("nats-server")
    command = [str(binary), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder)]
    process = subprocess.Popen([*command, "-l", str(folder / "log")])
    yield f"nats://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


class MovedClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = float(START)

    def now_ns(self) -> int:
        return int(self.seconds * NANOSECONDS)

    def monotonic(self) -> float:
        return self.seconds


class Mailbox(MessageHandler):
    """Subjects and texts of the mail that came."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[tuple[str, str]] = []

    def handle_message(self, message: Any) -> None:
        read = message_from_bytes(message.as_bytes(), policy=policy.default)
        part = read.get_body(("plain",))
        self.mails.append((str(read["Subject"]), part.get_content() if part else ""))


class Hook:
    """A web server that takes JSON; `statuses` are answered in turn, then 200."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = hook.statuses.pop(0) if hook.statuses else 200
                hook.paths.append(self.path)
                if status == 200:
                    hook.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def url(self, path: str = "") -> str:
        """The URL for Apprise, with time for a machine that is busy."""
        return f"json://127.0.0.1:{self.port}/{path}?cto=30&rto=30"


@contextmanager
def web_sink() -> Iterator[Hook]:
    """A running web server."""
    hook = Hook()
    thread = threading.Thread(target=partial(hook.server.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()


@contextmanager
def mail_sink() -> Iterator[tuple[Mailbox, str]]:
    """A running SMTP server and its URL for Apprise."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield (
        box,
        f"mailto://127.0.0.1:{port}/?from=heliograph@example.org&to=ops@example.org&mode=insecure&cto=30&rto=30",
    )
    controller.stop()


def targets(**urls: str) -> dict[str, AlertTarget]:
    return {name: AlertTarget(url=url) for name, url in urls.items()}


def notifier(urls: Mapping[str, AlertTarget], clock: Clock, environment: dict[str, str]) -> Notifier:
    return Notifier(urls, Keys(clock, environment))


def only(*names: str) -> Table:
    """The table with these alerts alone."""
    whole = table()
    return Table(recorded=whole.recorded, rules=tuple(r for r in whole.rules if r.name in names))


class Members:
    """Members on the bus that answer what this process really measures, the first of them all of it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._here = 0
        self.elsewhere = 0

    async def add(self, service: str, member: str = "one") -> None:
        first = self._here == 0

        async def answer(data: bytes) -> bytes:
            return samples.answer(service, member, data if first else b'{"names":[]}')

        self._here += 1
        await self._bus.respond(samples.SUBJECT, answer)

    @property
    def expected(self) -> int:
        """How many answer, those in other processes included."""
        return self._here + self.elsewhere


def watch_of(
    bus: Bus, clock: Clock, members: Members, rules: Table, member: str = "a", ttl_s: float = 600.0
) -> Watch:
    """A watch that waits for no longer than the members take."""

    async def gather(asked: Bus, names: list[str]) -> list[samples.Measured]:
        return await measuring.members(asked, names, members.expected, 30)

    return Watch(bus, Membership(bus, "gateway", member, ttl_s), member, rules, clock, gather)


async def step_until(
    watch: Watch, clock: MovedClock, seconds: float, told: Callable[[Alert], bool], limit: int = 400
) -> Alert:
    """Look again and again, so many seconds apart, until something is told; what it is."""
    for _ in range(limit):
        clock.seconds += seconds
        for alert in await watch.look():
            if told(alert):
                return alert
    raise AssertionError(f"nothing was told in {limit} looks")


Eventually = Callable[..., Awaitable[Any]]
