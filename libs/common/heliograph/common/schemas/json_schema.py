"""JSON Schema of the events, made from their types and docstrings."""

import inspect
import re
from typing import Any

import msgspec

from heliograph.common.events import EVENT_TYPES, Event, Vote

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^    (\w+): (.*)$")


def kind_of(event: type[Event]) -> str:
    """The value of `kind` on the wire, e.g. `signal`."""
    return str(event.__struct_config__.tag)


def components(ref_template: str) -> dict[str, dict[str, Any]]:
    """The schema of each event and of what it holds, by the type's name, each field described.

    Args:
        ref_template: how one refers to another, with `{name}` in it.
    """
    _, schemas = msgspec.json.schema_components(EVENT_TYPES, ref_template=ref_template)
    structs: list[type[msgspec.Struct]] = [*EVENT_TYPES, Vote]
    for described in structs:
        _describe(described, schemas[described.__name__])
    return schemas


def event_schema(event: type[Event]) -> dict[str, Any]:
    """One self-contained schema: the event at the root, what it holds under `$defs`.

    Fields that it does not name are allowed: readers must ignore what they do not know.
    """
    schemas = components("#/$defs/{name}")
    schema = schemas[event.__name__]
    needed = sorted(set(re.findall(r"#/\$defs/(\w+)", msgspec.json.encode(schema).decode())))
    head = {"$schema": DIALECT, "$id": f"urn:heliograph:event:{kind_of(event)}:v1"}
    return head | schema | ({"$defs": {name: schemas[name] for name in needed}} if needed else {})


def _describe(described: type[msgspec.Struct], schema: dict[str, Any]) -> None:
    """Move the descriptions of the fields from the docstrings of the type and its bases to the fields."""
    lineage = [c for c in reversed(described.__mro__) if issubclass(c, msgspec.Struct) and c.__doc__]
    for ancestor in lineage:
        for name, text in _attributes(ancestor).items():
            if name in schema["properties"]:
                schema["properties"][name]["description"] = text
    schema["description"] = inspect.getdoc(described).partition("\n\nAttributes:")[0]  # type: ignore[union-attr]


def _attributes(described: type[msgspec.Struct]) -> dict[str, str]:
    """Field → description, as the `Attributes:` part of a Google docstring has them, one a line."""
    _, _, block = (inspect.getdoc(described) or "").partition("\n\nAttributes:\n")
    found = (_ATTRIBUTE.match(line) for line in block.splitlines())
    return {match[1]: match[2] for match in found if match}
