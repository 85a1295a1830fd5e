"""The table of settings in docs/operating.md, made from the settings classes."""

import argparse
import importlib
import sys
from pathlib import Path

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from heliograph.common.config import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operating.md"
BEGIN = "<!-- settings: made by deploy/settings_table.py -->"
END = "<!-- end of settings -->"
SERVICES = ("fetcher", "consensus", "reasoning", "tracker", "archiver", "gateway")
LONGEST = 60
"""Characters of a default that the table still shows."""
BOUNDS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))


def settings_of(service: str) -> type[Settings]:
    """The settings class of a service, by the convention of its name."""
    module = importlib.import_module(f"heliograph.{service}.settings")
    found: type[Settings] = getattr(module, f"{service.capitalize()}Settings")
    return found


def variables(settings: type[Settings]) -> dict[str, FieldInfo]:
    """Environment variable → field."""
    return {_variable(name, field): field for name, field in settings.model_fields.items()}


def _variable(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return f"{PREFIX}{name.upper()}"


def table() -> str:
    """The rows of every service's settings, those that all share first."""
    shared = variables(Settings)
    rows = [_row(name, field, "all") for name, field in shared.items()]
    own: dict[str, tuple[FieldInfo, list[str]]] = {}
    for service in SERVICES:
        for name, field in variables(settings_of(service)).items():
            if name not in shared:
                own.setdefault(name, (field, []))[1].append(service)
    rows += [_row(name, field, ", ".join(users)) for name, (field, users) in own.items()]
    return "\n".join(["| variable | default | read by | meaning |", "|---|---|---|---|", *rows])


def _row(name: str, field: FieldInfo, users: str) -> str:
    limits = [
        f"{sign} {getattr(m, key)}"
        for m in field.metadata
        for kind, key, sign in BOUNDS
        if isinstance(m, kind)
    ]
    meaning = "; ".join(filter(None, [field.description or "", ", ".join(limits)]))
    return f"| `{name}` | {_default(field)} | {users} | {meaning} |".replace("  ", " ")


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "under the working folder"
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default in ("", None):
        return "none"
    shown = field.default if isinstance(field.default, str) else to_json(field.default).decode()
    return f"`{shown}`" if len(shown) <= LONGEST else f"see `{type(field.default).__name__}`"


def page_with(rows: str) -> str:
    """The page with the table put in."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rows}\n{END}{after}"


def main() -> None:
    """Write the table into the page, or compare it with the page; exits with 1 where they differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    made = page_with(table())
    if not parser.parse_args().check:
        PAGE.write_text(made, encoding="utf-8")
    elif made != PAGE.read_text(encoding="utf-8"):
        sys.exit(f"{PAGE}: the settings have changed: run `python deploy/settings_table.py`")


if __name__ == "__main__":
    main()
