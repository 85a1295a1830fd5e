"""`heliograph signals tail`: signals as lines, the past ones first, then each as it comes."""

import re
import sys
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import msgspec
from rich.console import Console

from heliograph import client
from heliograph.common import subjects
from heliograph.common.bus import Bus, Stored
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError
from heliograph.common.events import Signal, encode
from heliograph.common.permissions import SUBSCRIBER
from heliograph.stack.commands.connection import connected, running
from heliograph.stack.state import State

STREAM = "SIGNAL"
BEGINNING = "beginning"
AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_since(text: str, now: datetime) -> datetime:
    """`beginning`, an age such as `15m` or `2d`, or an ISO date or time (UTC where it names no zone).

    Raises:
        InputError: it is none of these.
    """
    if text == BEGINNING:
        return datetime.fromtimestamp(0, UTC)
    age = AGE.fullmatch(text)
    if age:
        return now - timedelta(**{UNITS[age[2]]: float(age[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"since: {text!r}, expected `{BEGINNING}`, an age such as `15m` or `2d`, "
            "or a time such as `2026-01-31T09:30`"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


async def tail(
    state: State, *, symbol: str | None, since: datetime | None, last: int, follow: bool, as_json: bool
) -> None:
    """Print signals until the task is cancelled, or the past ones only.

    Raises:
        InputError: the symbol cannot be one.
        StackError: no stack runs there, or its NATS does not answer.
    """
    if symbol is not None:
        subjects.check_symbol(symbol)
    run = running(state)
    console = Console()
    async with connected(state) as bus:
        newest, past = await _past(bus, subjects.signal("*", symbol), since, last)
    for stored in past:
        try:
            signal = msgspec.json.decode(stored.data, type=Signal)
        except msgspec.DecodeError as error:
            skip(client.UnreadableError(stored.subject, stored.seq, str(error)))
        else:
            show(console, signal, as_json=as_json)
    if not follow:
        return
    subscriber = state.nats_user(SUBSCRIBER)
    connection = await client.connect(run.urls["nats"], user=subscriber.user, password=subscriber.password)
    async with connection:
        while True:
            try:
                async for found in connection.signals(symbol, after=newest, verify=False):
                    show(console, found.event, as_json=as_json)
            except client.UnreadableError as error:
                skip(error)
                newest = error.seq
            else:
                return


async def _past(bus: Bus, subject: str, since: datetime | None, last: int) -> tuple[int, Collection[Stored]]:
    """The sequence of the newest signal of any symbol, and the past messages that are asked for."""
    newest = await bus.last_seq(STREAM)
    past: deque[Stored] = deque(maxlen=last if since is None else None)
    async for message in bus.read(STREAM, subject, after=0, upto=newest):
        if since is None or message.time_ns >= int(since.timestamp() * NANOSECONDS):
            past.append(message)
    return newest, past


def skip(error: client.UnreadableError) -> None:
    """Say on stderr that a message is left out, and why."""
    sys.stderr.write(f"left out, no signal: {error}\n")


def show(console: Console, signal: Signal, *, as_json: bool) -> None:
    """One signal on one line: as it travels, or for a person."""
    if as_json:
        sys.stdout.write(encode(signal).decode() + "\n")
        sys.stdout.flush()
        return
    colour = "green" if signal.action == "BUY" else "red"
    time = datetime.fromtimestamp(signal.ts / NANOSECONDS, UTC).strftime("%Y-%m-%d %H:%M")
    console.print(
        f"{time}  [bold]{signal.symbol:<8}[/] [{colour}]{signal.action:<4}[/]  entry {signal.entry:<10g} "
        f"stop {signal.stop:<10g} target {signal.target:<10g} "
        f"confidence {signal.confidence:.0f}  {signal.regime}",
        highlight=False,
        soft_wrap=True,
    )
