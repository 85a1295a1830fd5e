"""`heliograph lookahead-check`: does any source know the future?"""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from heliograph.common.errors import InputError
from heliograph.lab.bars import bars_of
from heliograph.lab.commands.options import DataFolder, Json, WeightSet, chosen_strategy
from heliograph.lab.commands.terminal import print_json, progress
from heliograph.lab.folder import Folder
from heliograph.lab.lookahead import FUTURES, Finding, check, chosen_symbols, live_decisions, suspects


def lookahead_check(
    folder: DataFolder,
    *,
    weights: WeightSet = None,
    cuts: Annotated[int, Parameter(help="Moments after which the bars are changed.")] = 4,
    symbols: Annotated[int, Parameter(help="Symbols that are tried, spread over all.")] = 20,
    json: Json = False,
) -> int:
    """Change the future after several moments and demand that no earlier decision changes.

    All sources together and each one alone. Exits with 0 where nothing looked ahead, else with 1.
    """
    if symbols < 1:
        raise InputError(f"symbols: {symbols}, expected 1 or more")
    strategy = chosen_strategy(weights)
    read = Folder(folder)
    bars = bars_of(read.replay(chosen_symbols(read.symbols, symbols), 1))
    tried = suspects(strategy)
    total, done = len(tried) * cuts * len(FUTURES), 0
    with progress("look-ahead check", "futures") as report:

        def step() -> None:
            nonlocal done
            done += 1
            report(done, total)

        findings = [check(live_decisions(s), bars, s.sources, cuts, step) for s in tried]
    clean = not any(finding.differences for finding in findings)
    if json:
        print_json({"looks_ahead": not clean, "symbols": bars.symbols, "findings": findings})
    else:
        tell(findings)
    return 0 if clean else 1


def tell(findings: list[Finding]) -> None:
    """The findings for a person."""
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        names = " + ".join(finding.sources)
        if not finding.compared:
            console.print(f"[yellow]{names}[/]: no decision before any cut, nothing could be compared")
        elif not finding.differences:
            console.print(f"[green]{names}[/]: {finding.compared:,} decisions, none knew the future")
        for difference in finding.differences:
            console.print(
                f"[red]{names}[/]: decided at {difference.when}, changed by bars after {difference.cut} "
                f"({difference.future}): {difference.known or 'nothing'} → {difference.changed or 'nothing'}"
            )
