"""A `heliograph up` as a test sees it: a process, its state folder, its engines."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
HELIOGRAPH = str(Path(sys.executable).with_name("heliograph"))
Summary = dict[str, Any]


class Running:
    """A `heliograph up` under way on a state folder of its own, with more in its environment."""

    def __init__(self, folder: Path, *args: str, **environment: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.output = (folder / "stdout.txt").open("w+")
        self.errors = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            [HELIOGRAPH, "up", "--state", str(folder / "state"), *args],
            stdout=self.output,
            stderr=self.errors,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **environment},
        )

    def run_file(self) -> dict[str, Any]:
        """What the stack says of itself; empty before it does."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "state" / "run.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def credentials(self) -> dict[str, str]:
        """The generated credentials."""
        found: dict[str, str] = json.loads((self.folder / "state" / "credentials.json").read_text())
        return found

    def nats_user(self, name: str) -> dict[str, str]:
        """A user of NATS and its generated password."""
        file = self.folder / "state" / "nats-users" / f"{name}.json"
        found: dict[str, str] = json.loads(file.read_text())
        return found

    def pid(self, name: str) -> int | None:
        """The process of a service or an engine, when it lives."""
        pids = {process["name"]: int(process["pid"]) for process in self.run_file().get("processes", [])}
        return pids[name] if name in pids and psutil.pid_exists(pids[name]) else None

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a service or an engine, once it runs; its pid."""
        pid: int = until(lambda: self.pid(name), f"{name} to run")
        os.kill(pid, number)
        return pid

    def messages(self, stream: str) -> int:
        """Messages in a stream, as the server's monitor says; 0 before it runs."""
        try:
            url = self.run_file()["urls"]["nats monitor"]
            with urllib.request.urlopen(f"{url}/jsz?streams=1", timeout=2) as answer:  # noqa: S310 - our own server
                accounts = json.load(answer)["account_details"]
        except (KeyError, OSError):
            return 0
        found = [
            s["state"]["messages"]
            for a in accounts
            for s in a.get("stream_detail", ())
            if s["name"] == stream
        ]
        return int(sum(found))

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Another command of `heliograph` on the same state folder."""
        command = [HELIOGRAPH, *args, "--state", str(self.folder / "state")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)

    def text(self) -> str:
        """Everything that it has printed."""
        return (self.folder / "stdout.txt").read_text() + (self.folder / "stderr.txt").read_text()

    def all_text(self) -> str:
        """The same, and the end of each process's log: why a run failed."""
        logs = (f"{p.name}: {p.read_text()[-1500:]}" for p in self.folder.glob("state/logs/*.log"))
        return self.text() + "\n".join(logs)

    def summary(self, timeout: float = 360) -> Summary:
        """The summary of a run with `--once --json`, which must exit with 0."""
        code = self.process.wait(timeout)
        assert code == 0, self.all_text()
        found: Summary = json.loads((self.folder / "stdout.txt").read_text())
        return found

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(40)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.output.close()
            self.errors.close()


def until(
    check: Callable[[], Any], what: str, timeout: float = 60, why: Callable[[], str] = lambda: ""
) -> Any:
    """Wait until a check returns something true."""
    deadline = time.monotonic() + timeout
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}\n{why()}"
        time.sleep(0.05)
    return found


SAME = ("bars", "signals", "reasons", "outcomes", "open", "dead", "quarantined", "signals_sha256")


def same(summary: Summary) -> Summary:
    """What of a summary depends on the bars alone."""
    return {key: summary[key] for key in SAME}
