"""Key-value buckets of NATS: found, or made as all of ours are."""

from nats.js import api
from nats.js.errors import BucketNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from heliograph.common.bus import Bus


async def open_bucket(bus: Bus, name: str, *, ttl_s: float | None = None, history: int = 1) -> KeyValue:
    """The bucket of a name, made where there is none.

    Args:
        bus: the connection.
        name: of the bucket.
        ttl_s: seconds after which a value is gone; None: never.
        history: how many values of a key are kept.

    Raises:
        nats.errors.Error: the server does not answer, or refuses (also TimeoutError, OSError).
    """
    try:
        return await bus.js.key_value(name)
    except (BucketNotFoundError, NotFoundError):
        config = api.KeyValueConfig(
            bucket=name, history=history, ttl=ttl_s, replicas=bus.settings.replicas, direct=True
        )
        return await bus.js.create_key_value(config)
