"""The bare chain: the same bytes over the same hops, by processes that decide nothing.

One reads the bars of a burst and stores the signals that the services made of them, one reads both and copies
the signals into Postgres, one only reads. Each is the transport alone: plain clients, no events, no spans, no
shards, one acknowledgement for all that has come.
"""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import nats
import psycopg
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api

BARS, SIGNALS = "BARE_BARS", "BARE_SIGNALS"
DECIDER, RECORD, REST = "decider", "record", "rest"
ROLES = (DECIDER, RECORD, REST)
LOAD = "bare.load"
TABLE = "CREATE TABLE bare_signals (subject text NOT NULL, payload text NOT NULL)"
COPY = "COPY bare_signals (subject, payload) FROM STDIN"
WINDOW = 10_000


class Reader:
    """All messages of a stream as they come; `take` gives those that wait."""

    def __init__(self, client: Client, stream: str, role: str) -> None:
        self._client = client
        self._stream = stream
        _, self._name = acks_of(stream, role)
        self._waiting: list[Msg] = []
        self._came = asyncio.Event()

    async def open(self) -> None:
        """Make the consumer and ask for what comes."""
        config = api.ConsumerConfig(
            durable_name=self._name, ack_policy=api.AckPolicy.ALL, max_ack_pending=WINDOW, mem_storage=True
        )
        await self._client.jetstream().add_consumer(self._stream, config)
        inbox = self._client.new_inbox()
        await self._client.subscribe(inbox, cb=self._receive)
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}",
            json.dumps({"batch": WINDOW, "expires": 3600 * 10**9}).encode(),
            reply=inbox,
        )

    async def _receive(self, message: Msg) -> None:
        self._waiting.append(message)
        self._came.set()

    async def take(self) -> list[Msg]:
        """At least one message."""
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        taken, self._waiting = self._waiting, []
        return taken


async def decide(client: Client) -> None:
    """Store the signals that are loaded for a shard as soon as its bars have come."""
    loaded: dict[str, list[str]] = {}

    async def load(message: Msg) -> None:
        loaded.update(json.loads(message.data))
        await message.respond(b"")

    js = client.jetstream()
    bars = Reader(client, BARS, DECIDER)
    await bars.open()
    await client.subscribe(LOAD, cb=load)
    while True:
        messages = await bars.take()
        shards = [message.subject.rpartition(".")[2] for message in messages]
        await asyncio.gather(*(store(js, shard, loaded.pop(shard, [])) for shard in shards))
        await messages[-1].ack()


async def store(js: JetStreamContext, shard: str, signals: Sequence[str]) -> None:
    """Store the signals of one shard in order."""
    for signal in signals:
        await js.publish(f"bare.signals.{shard}", signal.encode())


async def record(client: Client, url: str) -> None:
    """Copy signals into Postgres; what has come goes in one transaction."""
    bars, signals = Reader(client, BARS, RECORD), Reader(client, SIGNALS, RECORD)
    await bars.open()
    await signals.open()
    async with asyncio.TaskGroup() as group, await psycopg.AsyncConnection.connect(url) as connection:
        group.create_task(acknowledge(bars))
        while True:
            messages = await signals.take()
            async with connection.cursor().copy(COPY) as copy:
                for message in messages:
                    await copy.write_row((message.subject, message.data.decode()))
            await connection.commit()
            await messages[-1].ack()


async def rest(client: Client) -> None:
    """Only read."""
    readers = [Reader(client, stream, REST) for stream in (BARS, SIGNALS)]
    async with asyncio.TaskGroup() as group:
        for reader in readers:
            await reader.open()
            group.create_task(acknowledge(reader))


async def acknowledge(reader: Reader) -> None:
    """Take and acknowledge for ever."""
    while True:
        await (await reader.take())[-1].ack()


async def play(role: str, url: str, user: str, password: str, postgres: str) -> None:
    """Be one of the processes."""
    client = await nats.connect(url, user=user, password=password)
    if role == DECIDER:
        await decide(client)
    elif role == RECORD:
        await record(client, postgres)
    else:
        await rest(client)


@asynccontextmanager
async def chain(js: JetStreamContext, nats_login: Sequence[str], postgres: str) -> AsyncIterator[None]:
    """The chain's streams, its table and its processes."""
    for stream, subjects in ((BARS, "bare.bars.*"), (SIGNALS, "bare.signals.*")):
        await js.add_stream(api.StreamConfig(name=stream, subjects=[subjects], allow_direct=True))
    async with await psycopg.AsyncConnection.connect(postgres) as connection:
        await connection.execute(TABLE)
    command = [sys.executable, "-m", "benchmarks.bare_chain"]
    processes = [
        await asyncio.create_subprocess_exec(*command, role, *nats_login, postgres) for role in ROLES
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            await process.wait()


async def load(client: Client, signals: Mapping[int, Sequence[str]]) -> None:
    """Tell the chain what it stores when the bars of the next burst come; `signals`: payloads by shard."""
    while True:
        try:
            await client.request(LOAD, json.dumps(signals).encode(), 5)
        except nats.errors.NoRespondersError:
            await asyncio.sleep(0.1)
        else:
            return


def acks_of(stream: str, role: str) -> tuple[str, str]:
    """Stream and consumer of one of the chain's readers."""
    return stream, f"{role}-{stream}"


def by_shard(messages: Sequence[Msg]) -> dict[int, list[str]]:
    """The payloads of the signals that were heard, by shard."""
    found: dict[int, list[str]] = defaultdict(list)
    for message in messages:
        found[int(message.subject.split(".")[1])].append(message.data.decode())
    return found


if __name__ == "__main__":
    uvloop.run(play(*sys.argv[1:]))
