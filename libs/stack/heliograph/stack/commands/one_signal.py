"""`heliograph signals show` and `signals verify`: one signal, as the tracker's record has it."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.stack.commands.asking import answer

SIGNAL = "query.tracker.signal"
PROOF = "query.tracker.proof"
WITHIN_S = 30.0
DAY_S = 86_400
_ID = re.compile(r"[0-9a-f]{16}")
SIDES = {-1: "short", 0: "neutral", 1: "long"}
MARKS = {True: "[green]holds[/]", False: "[red]broken[/]", None: "[yellow]not yet[/]"}

Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")]
StateFolder = Annotated[Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")]


def show_signal(signal: str, *, json: Json = False, state: StateFolder = None) -> int:
    """Show one signal: its votes and how they add up, its reason, its outcome, and its hashes.

    Args:
        signal: Its id, 16 hex digits, as `signals tail --json` gives it.
    """
    known = check_id(signal)

    async def ask(bus: Bus) -> Any:
        found = await bus.request(SIGNAL, {"id": known}, timeout=WITHIN_S)
        return {**found, "sum": adds_up(found)}

    return answer(state, ask, show, as_json=json)


def verify_signal(signal: str, *, json: Json = False, state: StateFolder = None) -> int:
    """Check one signal: its hash, its row, its place in the chain, its day; exits with 1 where one is broken.

    Args:
        signal: Its id, 16 hex digits, as `signals tail --json` gives it.
    """
    known = check_id(signal)

    async def ask(bus: Bus) -> Any:
        found = await bus.request(PROOF, {"id": known}, timeout=WITHIN_S)
        found["checks"].append(climbed(found["merkle"]))
        found["ok"] = all(check["ok"] is not False for check in found["checks"])
        return found

    return answer(state, ask, show_proof, as_json=json, failed=lambda found: not found["ok"])


def check_id(signal: str) -> str:
    """The id, when it can be one.

    Raises:
        InputError: it cannot.
    """
    if not _ID.fullmatch(signal):
        raise InputError(f"signal: {signal!r}, expected an id of 16 hex digits such as 0f3a9c41d27be865")
    return signal


def adds_up(signal: dict[str, Any]) -> dict[str, Any]:
    """How the votes came to the raw confidence.

    `parts` are weight · direction · confidence by source, `consensus` is 100 · |their sum|, and `factor` what
    takes it to the raw confidence: the regime's multiplier, less where the cap holds it.
    """
    parts = {v["source"]: v["weight"] * v["direction"] * v["confidence"] for v in signal["votes"]}
    consensus = 100 * abs(math.fsum(parts.values()))
    factor = signal["raw_confidence"] / consensus if consensus else None
    return {"parts": parts, "consensus": consensus, "factor": factor}


def climbed(proof: dict[str, Any] | None) -> dict[str, Any]:
    """The way from the signal's digest up to its day's root, walked here and not by the tracker."""
    from heliograph.tracker import merkle  # noqa: PLC0415 - this one command's

    if proof is None or proof["root"] is None:
        return {"name": "proof", "ok": None, "text": "the day of its record has no root yet"}
    way = [bytes.fromhex(node) for node in proof["proof"]]
    top = merkle.climb(bytes.fromhex(proof["leaf"]), proof["index"], proof["leaves"], way)
    fits = top is not None and top.hex() == proof["root"]
    text = f"{len(way)} hashes lead from its digest to the root of {proof['day']}, computed here"
    return {"name": "proof", "ok": fits, "text": text if fits else f"{text}: the root is another"}


def show(console: Console, signal: dict[str, Any]) -> None:
    """A signal for a person."""
    colour = "green" if signal["action"] == "BUY" else "red"
    console.print(
        f"[bold]{escape(signal['symbol'])}[/] [{colour}]{signal['action']}[/] at {time(signal['ts'])}, "
        f"{signal['interval']} bar, {signal['regime']} ({signal['view']}), {signal['strategy']}",
        highlight=False,
        soft_wrap=True,
    )
    prices = (f"{name} {signal[name]:g}" for name in ("entry", "stop", "target"))
    line(console, "prices", f"{', '.join(prices)}; expires {time(signal['expires'])}")
    _votes(console, signal, signal["sum"])
    reason, outcome = signal["reason"], signal["outcome"]
    line(console, "reason", _reason(reason) if reason else "none yet")
    line(console, "outcome", _outcome(outcome) if outcome else "open")
    line(console, "id", signal["id"])
    line(console, "sha256", signal["sha256"])
    line(console, "previous", signal["prev_sha256"] or "none: the first of its shard")


def _votes(console: Console, signal: dict[str, Any], total: dict[str, Any]) -> None:
    table = Table("source", "side", "confidence", "weight", "part", "age", box=None, padding=(0, 2))
    for vote in signal["votes"]:
        table.add_row(
            vote["source"],
            SIDES[vote["direction"]],
            f"{vote['confidence']:.3f}",
            f"{vote['weight']:.3f}",
            f"{100 * total['parts'][vote['source']]:+.2f}",
            age(vote.get("age_ns", 0) / NANOSECONDS),
        )
    console.print(table)
    factor = "" if total["factor"] is None else f" × {total['factor']:.3f} for the regime"
    line(
        console,
        "adds up",
        f"{total['consensus']:.2f}{factor} = raw confidence {signal['raw_confidence']:g}; "
        f"calibrated ({signal.get('calibration', 'none')}): {signal['confidence']:g}; "
        f"agreement {100 * signal['agreement']:.0f} %, expected R {signal['expected_r']:+.2f}",
    )


def _reason(reason: dict[str, Any]) -> str:
    paid = f", ${reason['cost']:.5f}" if reason.get("cost") else ""
    return f"{reason['text']} ({reason['provider']}, {reason['model']}{paid})"


def _outcome(outcome: dict[str, Any]) -> str:
    return (
        f"{outcome['result']} at {outcome['exit']:g} on {time(outcome['ts'])} after {outcome['bars']} bars: "
        f"{outcome['pnl_net']:+.2f} % after costs, {outcome['r_multiple']:+.2f} R"
    )


def show_proof(console: Console, found: dict[str, Any]) -> None:
    """What was checked, for a person."""
    _checks(console, found["checks"])
    for name in ("id", "sha256", "prev_sha256", "previous", "next"):
        line(console, name, found[name] or "none")
    block, day = found["block"], found["merkle"]
    if block:
        line(console, "block", f"{block['number']} of shard {block['shard']}, {block['link']}")
    if day:
        line(console, "root", f"{day['day']}: {day['root'] or 'made when the day is over'}")
    verdict = "[green]nothing speaks against it[/]" if found["ok"] else "[red]it is not as it was written[/]"
    console.print(verdict)


def _checks(console: Console, checks: Iterable[dict[str, Any]]) -> None:
    for check in checks:
        told = f"{check['name']:<12} {MARKS[check['ok']]}  {escape(check['text'])}"
        console.print(told, highlight=False, soft_wrap=True)


def line(console: Console, name: str, text: str) -> None:
    """A name and what it is."""
    console.print(f"[dim]{name:<12}[/] {escape(text)}", highlight=False, soft_wrap=True)


def time(ts: int) -> str:
    """UTC nanoseconds as a person reads them."""
    return datetime.fromtimestamp(ts / NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M")


def age(seconds: float) -> str:
    """Seconds in the largest unit that fits."""
    for size, unit in ((DAY_S, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:g} s"
