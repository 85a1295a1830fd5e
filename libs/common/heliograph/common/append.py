"""Compare-and-append: messages stored in order next after a known one, with none of another between.

The server takes some milliseconds for each atomic batch (ADR-50), whatever its size: it makes a folder for it
and brings that to the disk. So the appends that wait while one is under way share the next batch; each keeps
its own guard, and one that is refused takes no other with it. A few messages that need not be stored all or
none go one after the other, each guarded by the sequence of the one before.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from heliograph.common.errors import FencedError, UnavailableError
from heliograph.common.ids import derive_id

ATOMIC_LIMIT = 1000
"""Messages in one atomic batch at most (nats-server, ADR-50)."""
FEW = 4
"""Messages up to which an append is quicker one by one than as an atomic batch."""
WRONG_LAST_SEQUENCE = (10071, 10164)
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message to publish. `msg_id` makes a second publication within ten minutes a no-op."""

    subject: str
    data: bytes
    msg_id: str
    headers: dict[str, str] = {}


class Append(msgspec.Struct, frozen=True):
    """Messages that follow the one with `last_seq` under `guard`; `whole`: all or none."""

    messages: Sequence[Message]
    last_seq: int
    guard: str
    whole: bool = True

    def headers(self, number: int) -> dict[str, str]:
        """The headers of one of the messages; the first carries the guard."""
        message = self.messages[number]
        if number:
            return dict(message.headers)
        expected = {EXPECTED_SEQUENCE: str(self.last_seq)}
        if self.guard != message.subject:
            expected[EXPECTED_SUBJECT] = self.guard
        return message.headers | expected


class Waiting(msgspec.Struct):
    """An append that waits for its batch."""

    append: Append
    done: asyncio.Future[int]


class Appender:
    """The appends of one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queues: dict[str, deque[Waiting]] = defaultdict(deque)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._batches = 0

    async def append(self, append: Append, timeout: float) -> int:
        """Store the messages; the stream sequence of the last one.

        Raises:
            FencedError: there is a newer message under the guard.
            UnavailableError: not confirmed: all, none, or the first of a few may be stored.
        """
        if len(append.messages) <= (1 if append.whole else FEW):
            return await self._few(append, timeout)
        stream = append.guard.partition(".")[0]
        waiting = Waiting(append, asyncio.get_running_loop().create_future())
        self._queues[stream].append(waiting)
        if stream not in self._running or self._running[stream].done():
            self._running[stream] = asyncio.create_task(self._run(self._queues[stream], timeout))
        return await waiting.done

    async def _run(self, queue: deque[Waiting], timeout: float) -> None:
        """Commit one batch after another until nothing waits."""
        while queue:
            group = [queue.popleft()]
            size = len(group[0].append.messages)
            while queue and size + len(queue[0].append.messages) <= ATOMIC_LIMIT:
                group.append(queue.popleft())
                size += len(group[-1].append.messages)
            try:
                await self._settle(group, timeout)
            except asyncio.CancelledError:
                for waiting in group:
                    fail(waiting, UnavailableError("append: cut short"))
                raise

    async def _settle(self, group: list[Waiting], timeout: float) -> None:
        try:
            end = await self._batch([waiting.append for waiting in group], timeout)
        except FencedError as error:
            if len(group) == 1:
                fail(group[0], error)
                return
            for waiting in group:
                await self._settle([waiting], timeout)
            return
        except Exception as error:
            for waiting in group:
                fail(waiting, UnavailableError(str(error)))
            return
        for waiting in reversed(group):
            if not waiting.done.done():
                waiting.done.set_result(end)
            end -= len(waiting.append.messages)

    async def _few(self, append: Append, timeout: float) -> int:
        """Store the messages one by one, each next after the one before."""
        last_seq = append.last_seq
        for message in append.messages:
            last_seq = await self._single(Append([message], last_seq, append.guard), timeout)
        return last_seq

    async def _single(self, append: Append, timeout: float) -> int:
        message = append.messages[0]
        try:
            reply = await self._client.request(
                message.subject, message.data, timeout, headers=append.headers(0)
            )
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"append under {append.guard}: not confirmed: {error!r}") from error
        return sequence(reply, append.guard)

    async def _batch(self, appends: Sequence[Append], timeout: float) -> int:
        """Commit one atomic batch; the stream sequence of its last message."""
        self._batches += 1
        batch = derive_id(
            "batch", self._client.client_id or 0, self._batches, appends[0].guard, appends[0].last_seq
        )
        parts = [(a.messages[n], a.headers(n)) for a in appends for n in range(len(a.messages))]
        guards = ", ".join(append.guard for append in appends)
        try:
            for number, (message, headers) in enumerate(parts, 1):
                headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                last = number == len(parts)
                if last:
                    headers["Nats-Batch-Commit"] = "1"
                if number == 1 or last:
                    reply = await self._client.request(
                        message.subject, message.data, timeout, headers=headers
                    )
                    if last or reply.data:
                        return sequence(reply, guards)
                else:
                    await self._client.publish(message.subject, message.data, headers=headers)
        except (TimeoutError, NatsError, OSError) as error:
            raise UnavailableError(f"append under {guards}: not confirmed: {error!r}") from error
        raise UnavailableError(f"append under {guards}: nothing to append")


def sequence(reply: Msg, guard: str) -> int:
    """The sequence in a server's answer.

    Raises:
        FencedError: the server says that the guard has moved on.
        UnavailableError: the server says anything else.
    """
    answer = json.loads(reply.data)
    if "error" not in answer:
        return int(answer["seq"])
    problem = answer["error"]
    if problem.get("err_code") in WRONG_LAST_SEQUENCE:
        raise FencedError(f"append under {guard}: {problem['description']}")
    raise UnavailableError(f"append under {guard}: {problem.get('description')}")


def fail(waiting: Waiting, error: Exception) -> None:
    """Tell the one who waits, unless it has gone."""
    if not waiting.done.done():
        waiting.done.set_exception(error)
