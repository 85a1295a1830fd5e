"""Sources by the names in the configuration: the kernel's, the project's own others, and plug-ins.

A package registers a plug-in by an entry point of the group `heliograph.sources`; `module:attribute` names
one without. Either is an object of the class CheapSource, CompiledSource or DearSource.
"""

import functools
import pkgutil
from importlib.metadata import entry_points

import msgspec

from heliograph.common.errors import InputError
from heliograph.consensus.engine.layout import OTHERS, SOURCES
from heliograph.consensus.engine.sources import (
    DEAR,
    PATTERN,
    CheapSource,
    CompiledSource,
    DearSource,
    OtherSource,
)

GROUP = "heliograph.sources"


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The configured sources: those of the kernel by name, and the others."""

    kernel: tuple[str, ...]
    others: tuple[OtherSource, ...]

    @property
    def plugins(self) -> tuple[str, ...]:
        """Keys of the others that are not the project's own."""
        return tuple(source.key for source in self.others if source.key not in (PATTERN.key, *DEAR))

    @property
    def needs_hours(self) -> bool:
        """Whether the hours of the stock market make a difference."""
        return any(isinstance(source, DearSource) and source.needs_hours for source in self.others)


@functools.cache
def choose(names: tuple[str, ...]) -> Chosen:
    """The sources of some names.

    Raises:
        InputError: one is unknown, cannot be loaded, is no source, or is named twice.
    """
    kernel = tuple(name for name in names if name in SOURCES)
    others = tuple(find(name) for name in names if name not in SOURCES)
    keys = [*kernel, *(source.key for source in others)]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InputError(f"sources: {', '.join(twice)} twice, expected each once")
    if len(others) > OTHERS:
        raise InputError(f"sources: {len(others)} besides those of the kernel, expected at most {OTHERS}")
    return Chosen(kernel=kernel, others=others)


def find(name: str) -> OtherSource:
    """One of the others.

    Raises:
        InputError: there is none of this name, it cannot be loaded, or it is no source.
    """
    if name == PATTERN.key:
        return PATTERN
    if name in DEAR:
        return DEAR[name]
    registered = entry_points(group=GROUP)
    if ":" not in name and name not in registered.names:
        known = ", ".join((*SOURCES, PATTERN.key, *DEAR, *sorted(registered.names)))
        raise InputError(f"sources: {name!r}, expected some of {known}, or module:attribute")
    try:
        found = pkgutil.resolve_name(name) if ":" in name else registered[name].load()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"sources: {name!r} cannot be loaded ({error})") from error
    if not isinstance(found, CheapSource | CompiledSource | DearSource):
        kind = type(found).__name__
        raise InputError(f"sources: {name!r} is a {kind}, expected CheapSource, CompiledSource or DearSource")
    return found
