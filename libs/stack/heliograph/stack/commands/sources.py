"""`heliograph sources`: the sources of votes, what each counts for, and how often each was right."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heliograph.common.bus import Bus
from heliograph.common.config import load
from heliograph.common.errors import InputError
from heliograph.stack.commands.asking import answer
from heliograph.stack.figures import Replica

RELIABILITY = "query.tracker.sources"
WITHIN_S = 30.0
STATUS_WITHIN_S = 1.0
MOST_VOTES = 100_000
PADDING = (0, 2, 0, 0)
COLOURS = {"healthy": "green", "degraded": "yellow", "silent": "yellow", "unhealthy": "red"}


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """A source as the configuration names it.

    Attributes:
        from_: what its votes come from: bars, past signals (the pattern source), or outside.
        weights: by the regime's view, normalised over the configured sources, 0–1.
    """

    source: str
    from_: Literal["bars", "past signals", "outside"] = msgspec.field(name="from")
    weights: dict[str, float]


def sources(
    *,
    strategy: Annotated[
        str | None, Parameter(help="Count votes on its signals only, e.g. default@2. Default: all.")
    ] = None,
    last: Annotated[int, Parameter(help="Newest votes of each source that are counted.")] = 100,
    json: Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")] = False,
    state: Annotated[
        Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")
    ] = None,
) -> int:
    """Show the sources of votes: health, weights by the regime's view, and how often they were right.

    Weights are those of the configuration that a service started here would read.
    """
    if not 1 <= last <= MOST_VOTES:
        raise InputError(f"last: {last}, expected 1 to {MOST_VOTES} votes")
    name, found = configured()

    async def ask(bus: Bus) -> Any:
        body = {"last": last} | ({"strategy": strategy} if strategy else {})
        records = (await bus.request(RELIABILITY, body, timeout=WITHIN_S))["sources"]
        answers = await bus.ask_all("status.all", {}, STATUS_WITHIN_S)
        replicas = msgspec.convert([a for a in answers if "service" in a], list[Replica])
        return report(name, found, replicas, {record["source"]: record for record in records})

    return answer(state, ask, show, as_json=json)


def configured() -> tuple[str, list[Configured]]:
    """The strategy's name and its sources.

    Raises:
        ConfigError: a setting of the consensus is wrong.
    """
    # The engine takes a second to import, and only this command needs it.
    from heliograph.consensus.engine.layout import SOURCES, VIEWS  # noqa: PLC0415
    from heliograph.consensus.engine.sources import DearSource, PatternSource  # noqa: PLC0415
    from heliograph.consensus.settings import ConsensusSettings  # noqa: PLC0415

    settings = load(ConsensusSettings)
    chosen, weights = settings.chosen, settings.table()
    others = {source.key: source.weight for source in chosen.others}
    table = weights.table(chosen.kernel, others)
    columns = (*SOURCES, *others)
    origins: dict[str, Literal["bars", "past signals", "outside"]] = dict.fromkeys(chosen.kernel, "bars")
    for source in chosen.others:
        outside = isinstance(source, DearSource)
        past = isinstance(source, PatternSource)
        origins[source.key] = "outside" if outside else "past signals" if past else "bars"
    return weights.strategy, [
        Configured(
            source=source,
            from_=origin,
            weights={view: round(float(table[n, columns.index(source)]), 4) for n, view in enumerate(VIEWS)},
        )
        for source, origin in origins.items()
    ]


def report(
    strategy: str, found: list[Configured], replicas: list[Replica], records: dict[str, Any]
) -> dict[str, Any]:
    """The sources with their health and their records; a source that is only in the record has no weight."""
    deciding = any(replica.service == "consensus" and replica.shards for replica in replicas)
    voting = {
        source
        for replica in replicas
        if replica.service == "reasoning" and replica.ready
        for source in (replica.status or {}).get("votes", {})
    }
    rows: list[dict[str, Any]] = []
    for one in found:
        at_work = deciding and (one.from_ != "outside" or one.source in voting)
        health = "healthy" if at_work else "silent" if deciding else "unhealthy"
        rows.append(msgspec.to_builtins(one) | {"health": health, "reliability": records.get(one.source)})
    known = {one.source for one in found}
    rows += [
        {"source": source, "from": None, "weights": {}, "health": "not configured", "reliability": record}
        for source, record in records.items()
        if source not in known
    ]
    providers = [
        {
            "provider": replica.status.get("provider", ""),
            "member": replica.member,
            "health": replica.status.get("health", "unknown"),
            "done": bool(replica.status.get("done")),
            "gaps": replica.status.get("gaps"),
        }
        for replica in replicas
        if replica.service == "fetcher" and replica.status
    ]
    return {"strategy": strategy, "sources": rows, "providers": providers}


def show(console: Console, found: dict[str, Any]) -> None:
    """The sources for a person: weights in percent by view, then the newest votes against what came."""
    views = list(found["sources"][0]["weights"]) if found["sources"] else []
    table = Table("source", "from", "health", *(view.lower() for view in views), box=None, padding=PADDING)
    records = Table("source", "votes", "right", "95 % interval", "mean R", box=None, padding=PADDING)
    for one in found["sources"]:
        weights = (f"{100 * one['weights'][v]:.0f} %" if v in one["weights"] else "–" for v in views)
        health = f"[{COLOURS.get(one['health'], 'dim')}]{one['health']}[/]"
        table.add_row(one["source"], one["from"] or "–", health, *weights)
        records.add_row(one["source"], *_record(one["reliability"]))
    console.print(f"[bold]weights[/] of {escape(found['strategy'])}", highlight=False)
    console.print(table)
    console.print("\n[bold]newest votes[/] on signals that have ended")
    console.print(records)
    console.print()
    for provider in found["providers"]:
        told = "all replayed" if provider["done"] else "at work"
        health = f"[{COLOURS.get(provider['health'], 'dim')}]{provider['health']}[/]"
        console.print(
            f"bars from {escape(provider['provider'])} ({provider['member']}): {health}, {told}",
            highlight=False,
        )


def _record(reliability: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if reliability is None:
        return "–", "–", "–", "–"
    counted = reliability["all"]
    if counted["hit_rate"] is None:
        return f"{counted['votes']:,}", "–", "–", "–"
    mean = "–" if counted["expectancy"] is None else f"{counted['expectancy']:+.2f}"
    return (
        f"{counted['votes']:,}",
        f"{100 * counted['hit_rate']:.0f} %",
        f"{100 * counted['low']:.0f}–{100 * counted['high']:.0f} %",
        mean,
    )
