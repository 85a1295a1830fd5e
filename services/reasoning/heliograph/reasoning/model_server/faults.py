"""What the model server does wrong, a switch for each fault, and how long it takes."""

import math
import random
from typing import Literal, get_args

import msgspec

from heliograph.common.errors import InputError

Fault = Literal[
    "rate_limited",
    "unauthorized",
    "no_balance",
    "server_error",
    "hang",
    "cut",
    "empty",
    "invalid_json",
    "wrong_schema",
    "injection",
]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share of calls (0–1) that meets each fault; together at most 1.

    Attributes:
        rate_limited: 429 with Retry-After of `retry_after` seconds.
        unauthorized: 401; beside it every call whose key is in `refused_keys` gets one.
        no_balance: 402.
        server_error: 500, 502, 503 or 529.
        hang: no answer until the client leaves.
        cut: the connection ends in the middle of the reply.
        empty: 200 with an empty body.
        invalid_json: 200 with a body that is no JSON.
        wrong_schema: a sound reply whose content is JSON of another form than asked for.
        injection: a sound reply whose text gives orders, prices and instructions.
        latency: seconds before the answer: `0.5`, `uniform:2:3` or `lognormal:0.8:0.5` (median, sigma).
        tokens: tokens of a reply; 0 counts them from its text.
    """

    rate_limited: float = 0.0
    retry_after: float = 1.0
    unauthorized: float = 0.0
    refused_keys: tuple[str, ...] = ()
    no_balance: float = 0.0
    server_error: float = 0.0
    hang: float = 0.0
    cut: float = 0.0
    empty: float = 0.0
    invalid_json: float = 0.0
    wrong_schema: float = 0.0
    injection: float = 0.0
    latency: str = "0"
    tokens: int = 0

    def __post_init__(self) -> None:
        for name in FAULTS:
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise InputError(f"{name}: {share}, expected a share from 0 to 1")
        if sum(getattr(self, name) for name in FAULTS) > 1 + 1e-9:
            raise InputError("faults: their shares are together more than 1")
        if self.retry_after < 0:
            raise InputError(f"retry_after: {self.retry_after}, expected 0 or more seconds")
        parse_latency(self.latency)

    def draw(self, chance: random.Random) -> Fault | None:
        """The fault that a call meets, if any."""
        at = chance.random()
        for name in FAULTS:
            at -= getattr(self, name)
            if at < 0:
                return name
        return None

    def wait(self, chance: random.Random) -> float:
        """Seconds that a call takes."""
        kind, first, second = parse_latency(self.latency)
        if kind == "uniform":
            return chance.uniform(first, second)
        return first * math.exp(second * chance.gauss(0.0, 1.0)) if kind == "lognormal" else first


FAULTS: tuple[Fault, ...] = get_args(Fault)


def parse_latency(text: str) -> tuple[Literal["fixed", "uniform", "lognormal"], float, float]:
    """The distribution of a latency and its two numbers.

    Raises:
        InputError: it is none.
    """
    expected = "expected seconds, `uniform:LOW:HIGH` or `lognormal:MEDIAN:SIGMA`"
    kind, *numbers = text.split(":")
    try:
        values = [float(n) for n in (numbers or [kind])]
    except ValueError:
        raise InputError(f"latency: {text!r}, {expected}") from None
    if not all(math.isfinite(v) and v >= 0 for v in values):
        raise InputError(f"latency: {text!r}, {expected}")
    if not numbers:
        return "fixed", values[0], 0.0
    if len(values) != 2 or (kind == "uniform" and values[0] > values[1]):  # noqa: PLR2004 - two numbers
        raise InputError(f"latency: {text!r}, {expected}")
    if kind == "uniform":
        return "uniform", values[0], values[1]
    if kind == "lognormal":
        return "lognormal", values[0], values[1]
    raise InputError(f"latency: {text!r}, {expected}")
