"""The bare transport: a process that does nothing but take messages from a stream and acknowledge them."""

import sys

import nats
import uvloop
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import api

STREAM = "BARE"
CONSUMER = "bare"


async def consume(url: str, user: str, password: str) -> None:
    """Take and acknowledge for ever."""
    client = await nats.connect(url, user=user, password=password)
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.ALL, max_ack_pending=10_000)
    consumer = await client.jetstream().pull_subscribe("bare.hop.*", CONSUMER, STREAM, config=config)
    while True:
        try:
            messages = await consumer.fetch(256, timeout=30)
        except NatsTimeoutError:
            continue
        if messages:
            await messages[-1].ack_sync()


if __name__ == "__main__":
    uvloop.run(consume(*sys.argv[1:4]))
