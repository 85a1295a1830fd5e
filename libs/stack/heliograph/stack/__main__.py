"""The `heliograph` command."""

import asyncio
import importlib.metadata
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from heliograph.common.errors import ConfigError, HeliographError, InputError
from heliograph.stack import options as stack_options
from heliograph.stack.commands import installed
from heliograph.stack.commands.interrupt import until_interrupted
from heliograph.stack.commands.once import once as replay_once
from heliograph.stack.commands.one_signal import show_signal, verify_signal
from heliograph.stack.commands.open_signals import open_signals
from heliograph.stack.commands.signals import parse_since
from heliograph.stack.commands.signals import tail as tail_signals
from heliograph.stack.commands.status import status as print_status
from heliograph.stack.commands.up import up as run_up
from heliograph.stack.options import Options
from heliograph.stack.state import DEFAULT, State

DISTRIBUTION = "heliograph-stack"
FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130

app = App(
    name="heliograph",
    help="Turns market data into trading signals, explains them, and follows each one to its outcome.",
    version=lambda: importlib.metadata.version(DISTRIBUTION),
)
installed.register(app)
signals_app = App(
    name="signals", help="Signals: as they come, as the open ones stand, or one with its votes and its proof."
)
signals_app.command(open_signals, name="open")
signals_app.command(show_signal, name="show")
signals_app.command(verify_signal, name="verify")
app.command(signals_app)

LiveProvider = Literal["kraken", "massive", "massive-polling"]
StateFolder = Annotated[Path | None, Parameter(name="--state", help="State folder. Default: .heliograph")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout.")]


@app.command
def up(
    *,
    data: Annotated[
        Path | None, Parameter(help="Folder of Parquet files to replay. Default: the sample.")
    ] = None,
    speed: Annotated[
        str | None, Parameter(help="`max`, or event seconds per second such as `1x` or `86400x`.")
    ] = None,
    provider: Annotated[
        LiveProvider | None,
        Parameter(
            help="Follow live prices instead; `kraken` needs no account. Give it a --state of its own."
        ),
    ] = None,
    once: Annotated[
        bool, Parameter(negative="", help="Replay to the end, check all, print a summary.")
    ] = False,
    json: Json = False,
    state: StateFolder = None,
    keep: Annotated[bool, Parameter(negative="", help="Keep the fresh state of --once.")] = False,
    shards: Annotated[int | None, Parameter(help="Shards, fixed at the first start. Default: 16.")] = None,
    replicas: Annotated[int, Parameter(help="Processes of each service.")] = 1,
    port: Annotated[
        int | None, Parameter(help="Port of the page and the API, 0 for any. Default: 8080.")
    ] = None,
) -> int:
    """Start the engines and all services and replay market data.

    Without --speed the replay runs at five days of bars a second; with --once as fast as it goes.
    """
    if once and provider is not None:
        raise InputError(
            f"provider: {provider!r} with --once, expected a replay, since live prices never end"
        )
    default = stack_options.MAX_SPEED if once else str(stack_options.PLEASANT_SPEED)
    chosen = Options(
        data=stack_options.check_folder(data) if data else stack_options.sample_folder(),
        speed=stack_options.parse_speed(default if speed is None else speed),
        shards=shards,
        replicas=replicas,
        gateway_port=0 if once and port is None else port,
        provider=provider,
    )
    stack_options.check(chosen)
    if once:
        work = replay_once(state, chosen, keep=keep, as_json=json)
        return INTERRUPTED if asyncio.run(until_interrupted(work)) else 0
    asyncio.run(until_interrupted(run_up(State(state or DEFAULT), chosen, as_json=json)))
    return 0


@app.command
def status(*, json: Json = False, state: StateFolder = None) -> int:
    """Show what runs, and how far it is; exits with 0 when every process is ready."""
    return 0 if asyncio.run(print_status(State(state or DEFAULT), as_json=json)) else FAILED


@signals_app.command
def tail(
    *,
    symbol: Annotated[str | None, Parameter(help="Only this symbol, e.g. AAPL or BRK.B.")] = None,
    since: Annotated[
        str | None, Parameter(help="Published since: `beginning`, `15m`, `2d`, or an ISO time.")
    ] = None,
    last: Annotated[int, Parameter(help="How many past signals to show without --since.")] = 10,
    follow: Annotated[bool, Parameter(help="Go on with each signal as it comes.")] = True,
    json: Json = False,
    state: StateFolder = None,
) -> int:
    """Print signals, the past ones first."""
    start = parse_since(since, datetime.now(UTC)) if since else None
    if last < 0:
        raise InputError(f"last: {last}, expected 0 or more")
    work = tail_signals(
        State(state or DEFAULT), symbol=symbol, since=start, last=last, follow=follow, as_json=json
    )
    asyncio.run(until_interrupted(work))
    return 0


@app.command
def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print the completion of this command for a shell, to be written into the file that the shell reads.

    Args:
        shell: bash (`~/.local/share/bash-completion/completions/heliograph`), zsh (`_heliograph` in a folder
            of `fpath`), or fish (`~/.config/fish/completions/heliograph.fish`).
    """
    sys.stdout.write(app.generate_completion(prog_name="heliograph", shell=shell))


@app.command
def version() -> None:
    """Print the version."""
    sys.stdout.write(importlib.metadata.version(DISTRIBUTION) + "\n")


def main() -> None:
    """Run the command; exits with 0, 1 (it failed) or 2 (an argument, a setting or the input is wrong)."""
    try:
        result = app(sys.argv[1:], exit_on_error=False, result_action="return_value")
    except CycloptsError:  # it has said what is wrong
        sys.exit(WRONG_INPUT)
    except (ConfigError, InputError) as error:
        sys.stderr.write(f"heliograph: {error}\n")
        sys.exit(WRONG_INPUT)
    except HeliographError as error:
        sys.stderr.write(f"heliograph: {error}\n")
        sys.exit(FAILED)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
