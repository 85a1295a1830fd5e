"""Whether a reply is the JSON that was asked for."""

import re
from functools import lru_cache
from typing import Any

import jsonschema
import msgspec

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> Any:
    return jsonschema.Draft202012Validator(msgspec.json.decode(schema))


def conforming(text: str, schema: dict[str, Any]) -> str | None:
    """The JSON of a reply that satisfies the schema, without a fence around it; None where it does not."""
    fenced = _FENCE.match(text)
    bare = fenced[1] if fenced else text
    try:
        value = msgspec.json.decode(bare)
    except msgspec.DecodeError:
        return None
    validator = _validator(msgspec.json.encode(schema, order="sorted"))
    return bare if validator.is_valid(value) else None
