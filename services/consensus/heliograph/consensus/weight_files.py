"""Weight sets as TOML files: name, version, and view → source → weight."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from heliograph.common.errors import InputError
from heliograph.consensus.engine import Weights


class WeightSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A weight set.

    Attributes:
        name: part of each signal's id, as is `version`; give another version with every change.
        views: view → source → weight; each view named here sums to 1 within .05.
        sources: those that the set was made for; when given, they must be the configured ones.
    """

    name: str
    version: str
    views: Mapping[str, Mapping[str, float]] = {}
    sources: tuple[str, ...] = ()


def read_weights(path: Path, sources: tuple[str, ...], plugins: tuple[str, ...]) -> Weights:
    """The weights of a file, for the sources that are configured.

    Raises:
        InputError: the file cannot be read, or a name, a source or a sum is wrong.
    """
    try:
        given = msgspec.toml.decode(path.read_bytes(), type=WeightSet)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if given.sources and set(given.sources) != set(sources):
        raise InputError(f"{path}: sources: {', '.join(given.sources)}, expected {', '.join(sources)}")
    try:
        weights = Weights(name=given.name, version=given.version, views=given.views, plugins=plugins)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    off = [told.removesuffix(" (they are normalised)") for told in weights.warnings()]
    if off:
        raise InputError(f"{path}: {'; '.join(off)}")
    return weights
