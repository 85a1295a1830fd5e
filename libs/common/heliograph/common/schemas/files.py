"""The documents of the events as files."""

import json
from pathlib import Path

from heliograph.common.events import EVENT_TYPES
from heliograph.common.schemas.asyncapi import asyncapi_document
from heliograph.common.schemas.json_schema import event_schema, kind_of


def documents() -> dict[str, str]:
    """File name → content, for every event kind and for the whole."""
    made: dict[str, object] = {f"{kind_of(event)}.schema.json": event_schema(event) for event in EVENT_TYPES}
    made["asyncapi.json"] = asyncapi_document()
    return {name: json.dumps(made[name], indent=2, ensure_ascii=False) + "\n" for name in made}


def write(folder: Path) -> list[Path]:
    """Write every document into a folder, making it where it does not exist; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in documents()]
    for path, content in zip(paths, documents().values(), strict=True):
        path.write_text(content, encoding="utf-8")
    return paths
