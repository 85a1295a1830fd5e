"""`heliograph spend`: what the language models cost today and this month, against their budgets."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from heliograph.stack.commands.asking import answer, request

SUBJECT = "query.reasoning.spend"
PADDING = (0, 2, 0, 0)


def spend(
    *,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Show what models cost today (UTC) in US dollars: by provider, against the budgets, and a signal."""
    return answer(state, request(SUBJECT, {}), show, as_json=json)


def show(console: Console, report: dict[str, Any]) -> None:
    """The report for a person."""
    if not report["providers"] and not report["budgets"]:
        console.print("no model is configured: every reason is written by rules and costs nothing")
        return
    uses = Table(
        *("provider", "model", "calls", "failed", "cached", "tokens in", "out", "breaker"),
        box=None,
        padding=PADDING,
    )
    money = Table("provider", "spent", "reserved", "left", "budget a day", box=None, padding=PADDING)
    for used in report["providers"]:
        counts = (f"{used[name]:,}" for name in ("calls", "failures", "cached", "tokens_in", "tokens_out"))
        uses.add_row(used["provider"], used["model"] or "–", *counts, used["breaker"])
    for budget in report["budgets"]:
        amounts = (dollars(budget[name]) for name in ("spent", "reserved", "left", "limit"))
        money.add_row(budget["name"], *amounts)
    for table in (uses, money):
        console.print(table)
        console.print()
    each, month = report["cost_per_signal"], report["month"]
    parts = [
        f"today ({report['day']}, UTC) {dollars(report['total'])}",
        f"{report['signals']:,} signals at {'–' if each is None else dollars(each)}",
        f"month {month['month']} {dollars(month['total'])}",
    ]
    if report["hit_rate"] is not None:
        parts.append(f"{100 * report['hit_rate']:.0f} % of the questions needed no call")
    console.print("; ".join(parts), highlight=False, soft_wrap=True)
    if report["alone"]:
        console.print("[yellow]Redis is away: the replica that answers spends its share only[/]")


def dollars(amount: float) -> str:
    """An amount to the cent, smaller ones to four figures."""
    return f"${amount:.2f}" if amount == 0 or amount >= 1 else f"${amount:.4g}"
