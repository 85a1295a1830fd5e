"""Copies of streams in another region: made once on its server, which then follows the platform by itself."""

import argparse
import asyncio
import sys

import structlog
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError

from heliograph.common.bus import Bus
from heliograph.common.config import Settings, load
from heliograph.common.errors import ConfigError, HeliographError
from heliograph.common.permissions import COPIES_SENT_TO, EVENTS, ORIGIN_DOMAIN
from heliograph.common.shell import EXIT_CONFIG, EXIT_FAILED
from heliograph.common.subjects import STREAMS

TRIES = 60
PAUSE_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def follow(bus: Bus) -> dict[str, bool]:
    """Make a copy of each stream that outsiders subscribe to, where there is none; which of them were made.

    `bus` is a connection to the region's own server, a leaf of the platform's.

    Raises:
        ConfigError: the server is not a region's, or has a stream of that name that is no copy.
    """
    domain = (await _answering(bus)).domain
    if not domain or domain == ORIGIN_DOMAIN:
        raise ConfigError(f"nats_url: JetStream's domain is {domain!r}, expected one of the region's own")
    return {stream.name: await _copy(bus, stream.name, domain) for stream in STREAMS if stream.name in EVENTS}


async def _answering(bus: Bus) -> api.AccountInfo:
    """The server's account once JetStream answers: it may just have been started."""
    for _ in range(TRIES):
        try:
            return await bus.js.account_info()
        except (TimeoutError, NatsError, OSError):
            await asyncio.sleep(PAUSE_S)
    return await bus.js.account_info()


async def _copy(bus: Bus, name: str, domain: str) -> bool:
    kept = next(stream.max_age_s for stream in STREAMS if stream.name == name)
    origin = api.ExternalStream(api=f"$JS.{ORIGIN_DOMAIN}.API", deliver=f"{COPIES_SENT_TO}.{domain}")
    try:
        found = (await bus.js.stream_info(name)).config.mirror
    except NotFoundError:
        source = api.StreamSource(name=name, external=origin)
        config = api.StreamConfig(
            name=name, mirror=source, max_age=kept, allow_direct=True, num_replicas=bus.settings.replicas
        )
        await bus.js.add_stream(config)
        return True
    if found is None or found.name != name:
        raise ConfigError(f"nats_url: its stream {name} is no copy, expected the server of a region")
    return False


async def work(settings: Settings) -> None:
    """Connect, and make the copies."""
    bus = await Bus.connect(settings, "region")
    try:
        for name, made in (await follow(bus)).items():
            await log.ainfo("copy of a stream", stream=name, made=made)
    finally:
        await bus.close()


def main() -> None:
    """Make the region's server keep copies of signals, reasons and outcomes."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    try:
        asyncio.run(work(load(Settings)))
    except ConfigError as error:
        sys.stderr.write(f"heliograph: {error}\n")
        sys.exit(EXIT_CONFIG)
    except (HeliographError, NatsError, OSError, TimeoutError) as error:
        sys.stderr.write(f"heliograph: {error!r}\n")
        sys.exit(EXIT_FAILED)
