"""`heliograph archive`: asks the archiver of the running stack, which alone touches its stores."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.stack.commands.asking import Ask, answer, request
from heliograph.stack.commands.restore_record import WITHIN_S, archived_days, into_the_record

app = App(name="archive", help="The archive of the running stack: one verified object a day and table.")

Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")]
StateFolder = Annotated[Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")]
TableName = Annotated[
    str | None, Parameter(name="--table", help="bars, votes, signals, reasons or outcomes. Default: all.")
]
First = Annotated[str | None, Parameter(name="--first", help="First day, YYYY-MM-DD.")]
Last = Annotated[str | None, Parameter(name="--last", help="Last day, included. Default: as --first.")]
Days = Annotated[int, Parameter(help="Days after which an object moves there.")]


@app.command
def run(
    *,
    complete: Annotated[
        bool, Parameter(negative="", help="Only days before that of the newest bar, as the archiver does.")
    ] = False,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Archive every day that has changed since it was archived."""
    return answer(state, _ask("archive", complete_only=complete), _show_fields, as_json=json)


@app.command
def verify(
    *,
    table: TableName = None,
    first: First = None,
    last: Last = None,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Read objects again and compare them with their manifests; exits with 1 when one is not whole."""
    ask = _ask("verify", **_range(table, first, last))
    return answer(state, ask, _show_verdict, as_json=json, failed=lambda verdict: bool(verdict["wrong"]))


@app.command
def restore(
    *,
    table: TableName = None,
    first: First = None,
    last: Last = None,
    record: Annotated[
        bool, Parameter(negative="", help="Into the record in PostgreSQL instead: what it lacks.")
    ] = False,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Bring archived days back, each object proved first; without days, all of them.

    They go into ClickHouse, or into the record, whose rows stay as they are: exits with 1 when one of them is
    otherwise than in the archive.
    """
    body = _range(table, first, last)
    if record:
        return answer(
            state,
            into_the_record(body),
            _show_restored,
            as_json=json,
            failed=lambda said: bool(said["differing"]),
        )
    return answer(state, _ask("restore", **body), _show_fields, as_json=json)


@app.command
def drop(
    *,
    table: Annotated[str, Parameter(help="bars, votes, signals, reasons or outcomes.")],
    first: Annotated[str, Parameter(help="First day, YYYY-MM-DD.")],
    last: Last = None,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Delete days from ClickHouse, each after its object was read again and equals its rows."""
    return answer(state, _ask("drop", **_range(table, first, last)), _show_fields, as_json=json)


@app.command(name="list")
def list_(
    *,
    table: TableName = None,
    first: First = None,
    last: Last = None,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """List what is archived, a line a day and table."""
    return answer(state, _all_days(_range(table, first, last)), _show_days, as_json=json)


@app.command
def lifecycle(
    *,
    apply: Annotated[bool, Parameter(negative="", help="Put the rule and read it back.")] = False,
    ia: Days = 30,
    glacier: Days = 365,
    deep: Days = 2555,
    expire: Annotated[int, Parameter(help="Days after which objects are deleted; 0: never.")] = 0,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Show the rules of the archive's bucket, or apply one: Standard, Standard-IA, Glacier, Deep Archive."""
    ask = _ask("lifecycle", apply=apply, ia=ia, glacier=glacier, deep=deep, expire=expire)
    return answer(state, ask, _show_rules, as_json=json)


@app.command
def cost(
    *,
    ia: Days = 30,
    glacier: Days = 365,
    deep: Days = 2555,
    expire: Annotated[int, Parameter(help="Days after which objects are deleted; 0: never.")] = 0,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Seven years on S3 from the measured sizes, beside everything in Standard."""
    ask = _ask("cost", ia=ia, glacier=glacier, deep=deep, expire=expire)
    return answer(state, ask, _show_cost, as_json=json)


def _ask(subject: str, **body: Any) -> Ask:
    return request(f"query.archiver.{subject}", body, WITHIN_S)


def _all_days(body: dict[str, str]) -> Ask:
    async def ask(bus: Bus) -> list[Any]:
        return await archived_days(bus, body)

    return ask


def _range(table: str | None, first: str | None, last: str | None) -> dict[str, str]:
    fields = {"table": table, "first": first, "last": last or first}
    return {name: value for name, value in fields.items() if value is not None}


def _show_fields(console: Console, said: dict[str, Any]) -> None:
    console.print("  ".join(f"{name} {value:,}" for name, value in said.items()), highlight=False)


def _show_restored(console: Console, said: dict[str, Any]) -> None:
    for row in said["different"]:
        console.print(f"[red]{row}[/] is otherwise in the record than in the archive", highlight=False)
    console.print(
        f"{said['days']:,} days, {said['events']:,} events: {said['new']:,} new in the record, "
        f"{said['there']:,} were there, {said['differing']:,} of them otherwise",
        highlight=False,
    )


def _show_verdict(console: Console, said: dict[str, Any]) -> None:
    for key, wrong in said["wrong"].items():
        console.print(f"[red]{key}[/] {wrong}", highlight=False, soft_wrap=True)
    verdict = f"[red]{len(said['wrong'])} not whole[/]" if said["wrong"] else "[green]all whole[/]"
    console.print(f"{said['checked']:,} objects read, {verdict}", highlight=False)


def _show_days(console: Console, said: list[dict[str, Any]]) -> None:
    table = Table("table", "day", "rows", "bytes", "format", "schema", "in ClickHouse", "sha256", box=None)
    for day in said:
        there = "no" if day["dropped"] else "yes"
        numbers = (f"{day['rows']:,}", f"{day['bytes']:,}")
        table.add_row(
            day["table"], day["day"], *numbers, day["format"], day["schema"], there, day["sha256"][:12]
        )
    console.print(table)


def _show_rules(console: Console, said: dict[str, Any]) -> None:
    for rule in said["rules"]:
        moves = ", ".join(
            f"{move['StorageClass']} after {move['Days']} d" for move in rule.get("Transitions", [])
        )
        expires = f", deleted after {rule['Expiration']['Days']} d" if "Expiration" in rule else ""
        console.print(f"[bold]{rule['ID']}[/] {rule['Status']}: {moves}{expires}", highlight=False)
    if not said["rules"]:
        console.print("no rules: everything stays in Standard")


def _show_cost(console: Console, said: dict[str, Any]) -> None:
    table = Table("year", "GB at its end", "with the lifecycle", "all in Standard", box=None)
    for year in said["years"]:
        gigabytes = f"{year['gigabytes']:,.3f}"
        table.add_row(str(year["year"]), gigabytes, f"${year['tiered']:,.4f}", f"${year['standard']:,.4f}")
    console.print(table)
    console.print(
        f"{said['bytes_a_day']:,.0f} bytes a day; {len(said['years'])} years: ${said['tiered']:,.2f} beside "
        f"${said['standard']:,.2f}, {said['saved']:.0%} saved; {said['moved']:.0%} of the bytes are in "
        "objects of 128 KB or more, which alone S3 moves",
        highlight=False,
        soft_wrap=True,
    )
