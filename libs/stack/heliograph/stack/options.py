"""What a stack is asked to do."""

import math
import os
from pathlib import Path

import msgspec

from heliograph.common.errors import InputError

SAMPLE = "HELIOGRAPH_SAMPLE"
SAMPLE_FOLDER = Path("data") / "sample"
MAX_SPEED = "max"
MAX_SHARDS = 1024
MAX_REPLICAS = 16
MAX_PORT = 65_535
DAY_S = 86_400
PLEASANT_SPEED = 5.0 * DAY_S
"""Five days a second: the seven years of the sample pass in eight minutes."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a stack.

    Attributes:
        data: folder of Parquet files to replay.
        provider: where bars come from, a value of the fetcher's setting; None for what the environment says.
        speed: event seconds per second, or None for as fast as it goes.
        shards: None for what the state folder was made for, or the default.
        replicas: processes of each service.
        gateway_port: 0 for any, None for that of the first start, which is 8080 where it is free.
    """

    data: Path
    speed: float | None
    shards: int | None = None
    replicas: int = 1
    gateway_port: int | None = None
    provider: str | None = None


def parse_speed(text: str) -> float | None:
    """`max` as None, `60x` or `60` as 60.0 event seconds per second.

    Raises:
        InputError: it is neither `max` nor a positive factor.
    """
    if text == MAX_SPEED:
        return None
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise InputError(f"speed: {text!r}, expected `max` or a positive factor such as `1x` or `86400x`")
    return factor


def check_folder(folder: Path) -> Path:
    """The folder, when there is something to replay in it.

    Raises:
        InputError: it is no folder, or holds no Parquet file.
    """
    if not folder.is_dir():
        raise InputError(f"data: {str(folder)!r} is not a folder, expected one with Parquet files")
    if not any(folder.glob("*.parquet")):
        raise InputError(f"data: no *.parquet file in {str(folder)!r}, expected at least one")
    return folder.resolve()


def sample_folder() -> Path:
    """The sample: where `HELIOGRAPH_SAMPLE` says, in the working folder, or in the source tree.

    Raises:
        InputError: there is none.
    """
    named = os.environ.get(SAMPLE)
    if named:
        return check_folder(Path(named))
    for root in (Path.cwd(), *Path(__file__).resolve().parents):
        if (root / SAMPLE_FOLDER).is_dir():
            return check_folder(root / SAMPLE_FOLDER)
    raise InputError(f"data: no folder given and no {SAMPLE_FOLDER} here; use --data FOLDER or set {SAMPLE}")


def check(options: Options) -> None:
    """Refuse what the services would refuse later, and less clearly.

    Raises:
        InputError: a number is out of its range.
    """
    if options.shards is not None and not 1 <= options.shards <= MAX_SHARDS:
        raise InputError(f"shards: {options.shards}, expected 1 to {MAX_SHARDS}")
    if not 1 <= options.replicas <= MAX_REPLICAS:
        raise InputError(f"replicas: {options.replicas}, expected 1 to {MAX_REPLICAS}")
    if options.gateway_port is not None and not 0 <= options.gateway_port <= MAX_PORT:
        raise InputError(f"port: {options.gateway_port}, expected 0 to {MAX_PORT}")


def describe(speed: float | None) -> str:
    """A speed in words."""
    if speed is None:
        return MAX_SPEED
    pace = f"{speed / DAY_S:g} days of bars a second" if speed >= DAY_S else f"{speed:g} times the real one"
    return f"{pace} (change it with --speed)" if speed == PLEASANT_SPEED else pace
