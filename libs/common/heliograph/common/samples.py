"""What a process measures, told over the bus: the gateway's alerts need no way to its probe port."""

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry

SUBJECT = "status.metrics"
STARTED = "process_start_time_seconds"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Names of series, suffixes included, e.g. `heliograph_signals_total`."""

    names: list[str]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of one process.

    Attributes:
        started: when the process began, seconds since 1970; 0 where that is not known.
        samples: name, labels, value.
    """

    service: str
    member: str
    started: float
    samples: list[tuple[str, dict[str, str], float]]


def measured(service: str, member: str, names: list[str], registry: CollectorRegistry = REGISTRY) -> Measured:
    """The samples that a process has now under some names."""
    restricted = registry.restricted_registry([*names, STARTED])
    found = [s for family in restricted.collect() for s in family.samples]
    return Measured(
        service=service,
        member=member,
        started=next((s.value for s in found if s.name == STARTED), 0.0),
        samples=[(s.name, s.labels, s.value) for s in found if s.name != STARTED],
    )


def answer(service: str, member: str, data: bytes) -> bytes:
    """The answer to a request on `SUBJECT`."""
    asked = msgspec.json.decode(data, type=Asked)
    return msgspec.json.encode(measured(service, member, asked.names))
