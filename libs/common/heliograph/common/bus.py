"""The bus: a connection to NATS JetStream with the few verbs that Heliograph needs and their contracts."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from heliograph.common.append import ATOMIC_LIMIT, Append, Appender, Message
from heliograph.common.clock import NANOSECONDS
from heliograph.common.config import Settings
from heliograph.common.connecting import open_client
from heliograph.common.errors import ConfigError, InputError, UnavailableError
from heliograph.common.refusals import Refusals
from heliograph.common.subjects import STREAMS, Stream
from heliograph.common.wire import WireClient

READ_BATCH = 512
DEDUP_WINDOW_S = 600
SERVER_ERROR = 500
PAGE = 256
"""Consumers in one answer of the server."""
DIRECT_GET = "$JS.API.DIRECT.GET.{}"
NOTHING = ("204", "404")
"""Status of an answer after the last message, and where there is none."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Stored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message as a stream holds it: its sequence and its time of storage (UTC nanoseconds)."""

    subject: str
    data: bytes
    headers: dict[str, str]
    seq: int
    time_ns: int


class Bus:
    """A connection to NATS. Make it with `connect`; close it with `close`."""

    def __init__(self, client: WireClient, settings: Settings, refusals: Refusals) -> None:
        self.client = client
        self.refusals = refusals
        self.js: JetStreamContext = client.jetstream(timeout=5, publish_async_max_pending=2000)
        self.settings = settings
        self.generation = 0
        self._appender = Appender(client)
        self._subscriptions: list[Any] = []

    @classmethod
    async def connect(cls, settings: Settings, name: str) -> "Bus":
        """Connect, and try again for as long as the server is away; reconnecting never gives up.

        Raises:
            ConfigError: the server refuses the credentials, or either side the other's certificate.
        """
        holder: list[Bus] = []
        refusals = Refusals(settings.nats_user)

        async def reconnected() -> None:
            refusals.reconnected()
            for bus in holder:
                bus.generation += 1

        client = await open_client(settings, name, refusals, reconnected)
        bus = cls(client, settings, refusals)
        holder.append(bus)
        return bus

    async def close(self) -> None:
        """Send what is waiting and disconnect."""
        if self.client.is_closed:
            return
        try:
            await asyncio.wait_for(self.client.drain(), 5)
        except (NatsError, TimeoutError):
            await self.client.close()

    async def ensure_streams(self) -> None:
        """Make the streams, or check that they were made for the same number of shards.

        Raises:
            ConfigError: the streams exist with another number of shards, or the user may not look at them.
        """
        for stream in STREAMS:
            try:
                await self._ensure(stream)
            except UnavailableError as error:
                if refused := self.refusals.problem():
                    raise ConfigError(f"nats_user: {refused}") from error
                raise

    async def _ensure(self, stream: Stream) -> None:
        shards = str(self.settings.shards)
        info = await self._found(stream)
        if info is None:
            await self._make(stream, shards)
            return
        found = (info.config.metadata or {}).get("shards", shards)
        if found != shards:
            raise ConfigError(
                f"shards: {shards}, but the stream {stream.name} was made for {found}; "
                "keep that number or make a new set of streams"
            )

    async def _found(self, stream: Stream) -> api.StreamInfo | None:
        """A stream that is there, unless it is a passing one of a retention that it has no more."""
        try:
            info: api.StreamInfo = await self._retry(lambda: self.js.stream_info(stream.name))
            if not stream.passing or info.config.retention == api.RetentionPolicy.LIMITS:
                return info
            await log.awarning("stream made again, since its retention has changed", stream=stream.name)
            await self._retry(lambda: self.js.delete_stream(stream.name))
        except NotFoundError:
            pass
        return None

    async def _make(self, stream: Stream, shards: str) -> None:
        """Make a stream; one that another process has just made is the same one."""
        config = api.StreamConfig(
            name=stream.name,
            subjects=list(stream.subjects),
            retention=api.RetentionPolicy.LIMITS,
            max_age=stream.max_age_s,
            max_bytes=self.settings.stream_max_bytes,
            discard=api.DiscardPolicy.OLD,
            duplicate_window=DEDUP_WINDOW_S,
            allow_direct=True,
            allow_atomic=True,
            num_replicas=self.settings.replicas,
            metadata={"shards": shards},
        )
        await self._retry(lambda: self.js.add_stream(config))

    async def _retry(self, call: Callable[[], Awaitable[Any]], tries: int = 40) -> Any:
        """Call until JetStream answers; a server that has just started may not yet."""
        for attempt in range(tries):
            try:
                return await call()
            except NotFoundError:
                raise
            except (TimeoutError, NatsError, OSError) as error:
                if isinstance(error, APIError) and (error.code or 0) < SERVER_ERROR:
                    raise
                if attempt == tries - 1 or self.refusals.problem():
                    raise UnavailableError(f"JetStream does not answer: {error}") from error
                await asyncio.sleep(0.25)
        raise UnavailableError("JetStream does not answer")

    async def publish(self, messages: Sequence[Message], timeout: float = 10.0) -> None:
        """Publish all and return when the server has stored all; each at most once within ten minutes.

        Raises:
            UnavailableError: at least one was not confirmed in time; publishing all again is safe.
        """
        if not messages:
            return
        try:
            async with asyncio.timeout(timeout):
                futures = [
                    await self.js.publish_async(
                        m.subject, m.data, headers={**m.headers, "Nats-Msg-Id": m.msg_id}
                    )
                    for m in messages
                ]
                await asyncio.gather(*futures)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"publish: not confirmed: {error!r}") from error

    async def tell(self, subject: str, number: int) -> None:
        """Say a number to whoever listens now; nothing is stored, and a lost connection loses it."""
        with contextlib.suppress(NatsError, OSError):
            await self.client.publish(subject, str(number).encode())

    async def append(
        self,
        messages: Sequence[Message],
        *,
        last_seq: int,
        guard: str,
        timeout: float = 5.0,
        whole: bool = True,
    ) -> int:
        """Publish all as the next messages under `guard` (a subject or a wildcard), or none of them.

        Args:
            messages: at most `ATOMIC_LIMIT`, in order; their `msg_id` is not used.
            last_seq: stream sequence of the last message under `guard` as the caller knows it; 0 for none.
            guard: the subject filter whose writer is the caller alone.
            whole: whether it must be all or none. If not, a few go one by one, which is quicker, and a
                connection that is lost may leave the first of them stored.

        Returns:
            The stream sequence of the last message stored.

        Raises:
            FencedError: `guard` has a newer message: of another writer, or of an earlier attempt.
            UnavailableError: not confirmed; it may or may not be stored: look at `last` before trying again.
        """
        if not messages:
            return last_seq
        return await self._appender.append(Append(messages, last_seq, guard, whole), timeout)

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message under a subject or wildcard; None where there is none.

        Raises:
            UnavailableError: the server does not answer.
        """
        request = json.dumps({"last_by_subj": subject}).encode()
        try:
            message = await self.client.request(DIRECT_GET.format(stream), request, 5.0)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"reading {stream}: {error!r}") from error
        headers = message.headers or {}
        return None if ended(stream, headers) else stored(message.data, headers)

    async def last_of_each(self, stream: str, subject: str) -> list[Stored]:
        """The newest message of each subject under a wildcard.

        Raises:
            UnavailableError: the server does not answer.
        """
        return [m async for m in self._direct(stream, {"multi_last": [subject]})]

    async def read(self, stream: str, subject: str, *, after: int, upto: int) -> AsyncIterator[Stored]:
        """The messages under a subject with `after` < sequence ≤ `upto`, in order.

        Raises:
            UnavailableError: the server does not answer.
        """
        position = after + 1
        while position <= upto:
            request = {"seq": position, "batch": READ_BATCH, "next_by_subj": subject}
            found = [m async for m in self._direct(stream, request)]
            for message in found:
                if message.seq > upto:
                    return
                yield message
            if len(found) < READ_BATCH:
                return
            position = found[-1].seq + 1

    async def _direct(
        self, stream: str, request: dict[str, Any], timeout: float = 5.0
    ) -> AsyncIterator[Stored]:
        """The Direct Get API (ADR-31): many stored messages in answer to one request."""
        inbox = self.client.new_inbox()
        subscription = await self.client.subscribe(inbox)
        try:
            await self.client.publish(DIRECT_GET.format(stream), json.dumps(request).encode(), reply=inbox)
            while True:
                message = await subscription.next_msg(timeout)
                headers = message.headers or {}
                if ended(stream, headers):
                    return
                yield stored(message.data, headers)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"reading {stream}: {error!r}") from error
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def last_seq(self, stream: str) -> int:
        """The sequence of the stream's newest message; 0 for an empty stream.

        Raises:
            UnavailableError: the server does not answer, or the stream is not yet made.
        """
        try:
            info = await self._retry(lambda: self.js.stream_info(stream), tries=4)
        except NotFoundError as error:
            raise UnavailableError(f"stream {stream}: not yet made") from error
        return int(info.state.last_seq)

    async def first_seq(self, stream: str) -> int:
        """The sequence of the oldest message that the stream still holds; of an empty one, that of its next.

        Raises:
            UnavailableError: the server does not answer, or the stream is not yet made.
        """
        try:
            info = await self._retry(lambda: self.js.stream_info(stream), tries=4)
        except NotFoundError as error:
            raise UnavailableError(f"stream {stream}: not yet made") from error
        return max(int(info.state.first_seq), 1)

    async def ack_floor(self, stream: str, consumer: str) -> int:
        """The stream sequence up to which a durable consumer has acknowledged all; 0 before it exists."""
        try:
            info = await self._retry(lambda: self.js.consumer_info(stream, consumer), tries=4)
        except NotFoundError:
            return 0
        return int(info.ack_floor.stream_seq) if info.ack_floor else 0

    async def lag(self, stream: str) -> dict[str, int]:
        """Messages that each durable consumer of a stream has not yet acknowledged.

        Raises:
            UnavailableError: the server does not answer.
        """
        found: dict[str, int] = {}
        try:
            while True:
                page = await self.js.consumers_info(stream, offset=len(found))
                for info in page:
                    found[info.name] = (info.num_pending or 0) + (info.num_ack_pending or 0)
                if not page or len(page) < PAGE:
                    return found
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"lag of {stream}: {error!r}") from error

    async def respond(
        self, subject: str, answer: Callable[[bytes], Awaitable[bytes]], *, queue: str = ""
    ) -> None:
        """Answer requests on a subject; with `queue`, one member of the group answers each.

        What a handler raises goes back as `{"error": text, "type": name}`.
        """

        async def reply(message: Msg) -> None:
            if message.reply.startswith("$JS."):
                # A consumer may deliver stored messages to any subject: they are no requests.
                await log.awarning("no request", subject=subject, stored_under=message.subject)
                return
            try:
                data = await answer(message.data)
            except Exception as error:
                await log.awarning("request failed", subject=subject, error=repr(error))
                data = json.dumps({"error": f"{error}", "type": type(error).__name__}).encode()
            try:
                await message.respond(data)
            except NatsError as error:
                await log.awarning("answer not sent", subject=subject, error=repr(error))

        self._subscriptions.append(await self.client.subscribe(subject, queue=queue, cb=reply))

    async def request(self, subject: str, body: Mapping[str, object], timeout: float = 5.0) -> Any:
        """Ask the owner of some data; the decoded JSON of the answer.

        Raises:
            InputError: the owner refuses the request.
            UnavailableError: nobody answers in time, or the owner failed.
        """
        try:
            message = await self.client.request(subject, json.dumps(body).encode(), timeout)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"{subject}: {self.refusals.problem() or repr(error)}") from error
        answer = json.loads(message.data)
        if isinstance(answer, dict) and set(answer) == {"error", "type"}:
            if answer["type"] == InputError.__name__:
                raise InputError(answer["error"])
            raise UnavailableError(f"{subject}: {answer['error']}")
        return answer

    async def settled(self, timeout: int = 20) -> None:
        """Wait until the server has taken all that was sent, subscriptions among it.

        Raises:
            UnavailableError: it does not answer in time.
        """
        try:
            # The library's ping overtakes what waits to be written: only the second one comes after it.
            for _ in range(2):
                await self.client.flush(timeout)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"nats: {error!r}") from error

    async def ask_all(
        self, subject: str, body: Mapping[str, object], wait: float = 0.5, expected: int | None = None
    ) -> list[Any]:
        """Ask every member; the decoded answers that came within `wait` seconds, or the first `expected`."""
        inbox = self.client.new_inbox()
        subscription = await self.client.subscribe(inbox)
        answers: list[Any] = []
        try:
            await self.client.publish(subject, json.dumps(body).encode(), reply=inbox)
            async with asyncio.timeout(wait):
                while expected is None or len(answers) < expected:
                    message = await subscription.next_msg(wait)
                    if message.data:
                        answers.append(json.loads(message.data))
            return answers
        except (TimeoutError, NatsError, OSError):
            return answers
        finally:
            await subscription.unsubscribe()


def ended(stream: str, headers: Mapping[str, str]) -> bool:
    """Whether an answer of the Direct Get API says that there is nothing, or nothing more.

    Raises:
        UnavailableError: it says that something is wrong.
    """
    if "Nats-Sequence" in headers:
        return False
    if headers and headers.get("Status") not in NOTHING:
        raise UnavailableError(f"reading {stream}: {headers}")
    return True


def stored(data: bytes, headers: Mapping[str, str]) -> Stored:
    """A message of the Direct Get API, its bookkeeping headers taken out."""
    time = datetime.fromisoformat(headers["Nats-Time-Stamp"][:26].rstrip("Z")).replace(tzinfo=UTC)
    return Stored(
        subject=headers["Nats-Subject"],
        data=data,
        headers={k: v for k, v in headers.items() if not k.startswith("Nats-")},
        seq=int(headers["Nats-Sequence"]),
        time_ns=int(time.timestamp() * NANOSECONDS),
    )


__all__ = ["ATOMIC_LIMIT", "Bus", "Message", "Stored"]
