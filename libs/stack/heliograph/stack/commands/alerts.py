"""`heliograph alerts`: what needs a person now, and whether alerts arrive."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heliograph.common.clock import NANOSECONDS
from heliograph.stack.commands.asking import answer, request

TRY_WITHIN_S = 60.0
COLORS = {"critical": "red", "warning": "yellow"}

app = App(name="alerts", help="Alerts of the running stack: what fires, and whether it arrives.")

Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")]
StateFolder = Annotated[Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")]


@app.command(name="list")
def list_(*, json: Json = False, state: StateFolder = None) -> int:
    """Show the alerts that fire or are about to, and where alerts are delivered."""
    return answer(state, request("query.gateway.alerts", {}), show_alerts, as_json=json)


@app.command(name="test")
def try_targets(
    *,
    target: Annotated[
        str | None, Parameter(help="A name of alert_targets. Default: every one of them.")
    ] = None,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Send a message to the targets of alerts; exits with 1 where one does not take it, or none is set."""
    ask = request("query.gateway.alerts_test", {"target": target} if target else {}, TRY_WITHIN_S)
    return answer(state, ask, show_tries, as_json=json, failed=lambda said: not well(said))


def well(said: dict[str, Any]) -> bool:
    """Whether there are targets and all took the message."""
    return bool(said["targets"]) and all(tried["delivered"] for tried in said["targets"])


def show_alerts(console: Console, said: dict[str, Any]) -> None:
    """One line an alert, and its remedy under it."""
    table = Table("", "alert", "since", "", box=None, padding=(0, 2))
    for alert in said["alerts"]:
        color = COLORS[alert["severity"]] if alert["phase"] == "firing" else "dim"
        since = datetime.fromtimestamp(alert["since"] // NANOSECONDS, UTC)
        table.add_row(
            f"[{color}]{alert['phase']}[/]",
            alert["name"],
            f"{since:%Y-%m-%d %H:%M} UTC",
            f"{escape(alert['summary'])}\n[dim]{escape(alert['remedy'])}[/]",
        )
    console.print(table if said["alerts"] else "no alerts")
    names = ", ".join(f"{t['name']} (from {t['severity']} on)" for t in said["targets"])
    console.print(f"delivered to {escape(names)}" if names else "delivered to nobody: alert_targets is empty")


def show_tries(console: Console, said: dict[str, Any]) -> None:
    """One line a target."""
    for tried in said["targets"]:
        word = "[green]delivered[/]" if tried["delivered"] else "[red]not delivered[/]"
        console.print(f"{escape(tried['target'])}: {word} {escape(tried['reason'])}".rstrip())
    if not said["targets"]:
        console.print("no targets: set alert_targets, see docs/alerts.md")
