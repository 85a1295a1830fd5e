"""A subscriber's connection."""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from nats.aio.client import Client
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError
from nats.js import JetStreamContext, api

from heliograph.client.received import Chains, Received, UnreadableError
from heliograph.common import subjects
from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.events import Event, Outcome, Reason, Signal
from heliograph.common.tls import NoTlsError, TlsClient

CLOSE_WITHIN_S = 1.0
CONNECT_WITHIN_S = 10.0
LOOK_EVERY_S = 1.0
E = TypeVar("E", bound=Event)
T = TypeVar("T")


class NamedConsumer(api.ConsumerConfig):
    """A consumer that has a new name whenever the library makes it: a subscriber may make only named ones."""

    def evolve(self, **params: Any) -> "NamedConsumer":
        """The configuration that is sent to the server."""
        return NamedConsumer(**{**self.__dict__, **params, "name": secrets.token_hex(8)})


class Connection:
    """A connection to Heliograph's NATS; it reconnects by itself. Use it as `async with`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._generation = 0

    async def reconnected(self) -> None:
        """A server that was started again knows no subscriber: each subscribes again where it was."""
        self._generation += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect; every iterator ends."""
        await self._client.close()

    async def signals(
        self,
        symbol: str | None = None,
        *,
        since: datetime | None = None,
        after: int | None = None,
        verify: bool = True,
    ) -> AsyncIterator[Received[Signal]]:
        """The signals of one symbol or of all, each once and in order, from now on or from the past.

        Args:
            symbol: for example `BRK.B`; all symbols without one.
            since: begins with the first signal published then or later; must name its time zone.
            after: goes on behind the signal with this `seq`: 0 begins with the oldest that is kept.
            verify: check each hash, and with all symbols also each shard's chain.

        Raises:
            InputError: the symbol cannot be one, or `since` and `after` are both given or make no sense.
            AlteredError: with `verify`, a signal is not what was published.
            UnreadableError: a message is no signal; its `seq` as `after` goes on behind it.
            UnavailableError: there is no such stream, or the server does not answer.
        """
        chains = Chains(whole=symbol is None)
        async for subject, found in self._events("signal", Signal, symbol, since, after):
            if verify:
                chains.check(subject.split(".")[1], found.event)
            yield found

    async def reasons(
        self, symbol: str | None = None, *, since: datetime | None = None, after: int | None = None
    ) -> AsyncIterator[Received[Reason]]:
        """Why signals were given; `Reason.signal` is the signal's id. Arguments and errors as `signals`."""
        async for _, found in self._events("reason", Reason, symbol, since, after):
            yield found

    async def outcomes(
        self, symbol: str | None = None, *, since: datetime | None = None, after: int | None = None
    ) -> AsyncIterator[Received[Outcome]]:
        """How signals ended; `Outcome.signal` is the signal's id. Arguments and errors as `signals`."""
        async for _, found in self._events("outcome", Outcome, symbol, since, after):
            yield found

    async def _events(
        self, kind: str, event: type[E], symbol: str | None, since: datetime | None, after: int | None
    ) -> AsyncIterator[tuple[str, Received[E]]]:
        place = "*.>" if symbol is None else f"*.{subjects.encode_symbol(subjects.check_symbol(symbol))}"
        decoder = msgspec.json.Decoder(event)
        position = start(since, after)
        if position is None:
            position = start(None, await self._newest(kind))
        while not self._client.is_closed:
            generation = self._generation
            subscription = await self._subscribe(f"{kind}.{place}", position)
            try:
                while generation == self._generation and not self._client.is_closed:
                    with contextlib.suppress(TimeoutError):
                        message = await subscription.next_msg(LOOK_EVERY_S)
                        at = message.metadata
                        try:
                            read = decoder.decode(message.data)
                        except msgspec.DecodeError as error:
                            raise UnreadableError(message.subject, at.sequence.stream, str(error)) from error
                        found = Received(
                            event=read,
                            seq=at.sequence.stream,
                            published=int(at.timestamp.timestamp() * NANOSECONDS),
                        )
                        position = start(None, found.seq)
                        yield message.subject, found
            except ConnectionClosedError:
                return
            finally:
                with contextlib.suppress(NatsError, OSError):
                    await subscription.unsubscribe()

    async def _newest(self, kind: str) -> int:
        """The sequence of the newest event of a kind."""
        return (await asked(self._client.jetstream().stream_info(kind.upper()), f"{kind}s")).state.last_seq

    async def _subscribe(
        self, subject: str, position: api.ConsumerConfig | None
    ) -> JetStreamContext.PushSubscription:
        kind = subject.partition(".")[0]
        config = NamedConsumer(**(position or api.ConsumerConfig()).__dict__)
        subscribing = self._client.jetstream().subscribe(
            subject, stream=kind.upper(), ordered_consumer=True, config=config
        )
        return await asked(subscribing, f"{kind}s")


async def asked(request: Awaitable[T], what: str) -> T:
    """The server's answer.

    Raises:
        UnavailableError: it does not answer, or refuses.
    """
    try:
        return await request
    except (TimeoutError, NatsError, OSError) as error:
        raise UnavailableError(f"{what}: {error!r}") from error


def start(since: datetime | None, after: int | None) -> api.ConsumerConfig | None:
    """Where a subscription begins; None for what is new.

    Raises:
        InputError: both are given, `since` names no time zone, or `after` is negative.
    """
    if since is not None and after is not None:
        raise InputError("since, after: both are given, expected one of them")
    if since is not None:
        if since.tzinfo is None:
            raise InputError(f"since: {since.isoformat()} names no time zone")
        return api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_TIME, opt_start_time=since.astimezone(UTC)
        )
    if after is not None:
        if after < 0:
            raise InputError(f"after: {after}, expected a sequence, 0 or more")
        return api.ConsumerConfig(deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1)
    return None


async def connect(
    url: str, *, user: str = "", password: str = "", tls: ssl.SSLContext | None = None
) -> Connection:
    """Connect to the NATS server of a Heliograph.

    Args:
        url: for example `nats://127.0.0.1:4222`.
        user: `subscriber`, with its password.
        tls: for example `ssl.create_default_context(cafile="ca.crt")`; then nothing is sent in plain text.

    Raises:
        UnavailableError: it does not answer, or refuses the user.
    """
    options: dict[str, Any] = {"user": user, "password": password} if user else {}

    problems: list[Exception] = []
    opening = True

    async def note(error: Exception) -> None:
        """Reconnecting goes on; what cannot be mended comes as an exception of the call."""
        problems[:] = [error]
        if opening and isinstance(error, NoTlsError | ssl.SSLError):
            raise UnavailableError(repr(error)) from error

    if tls is not None:
        options["tls"] = tls
    client = Client() if tls is None else TlsClient()
    connection = Connection(client)
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            await client.connect(
                url,
                name="heliograph-client",
                max_reconnect_attempts=-1,
                error_cb=note,
                reconnected_cb=connection.reconnected,
                **options,
            )
        opening = False
    except (TimeoutError, NatsError, OSError, UnavailableError) as error:
        # After a failed handshake the library would wait for its end for ever.
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await asyncio.wait_for(client.close(), CLOSE_WITHIN_S)
        raise UnavailableError(f"{url}: {problems[0] if problems else error!r}") from error
    return connection
