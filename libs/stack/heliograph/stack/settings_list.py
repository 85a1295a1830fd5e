"""Every setting of every service, read from their settings classes."""

import importlib
from typing import Literal

import msgspec
from annotated_types import Ge, Gt, Le, Lt
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_json

from heliograph.common.config import PREFIX, Settings
from heliograph.stack.services import SERVICES

BOUNDS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
ALL = "all"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting.

    Attributes:
        variable: in the environment; `key` in the file.
        users: the services that read it; `("all",)` for what every service has.
        default: as JSON where `kind` is `value`; `type_name` is its type's.
        kind: whether it has a default, must be given, is unset, or takes a place under the working folder.
    """

    variable: str
    key: str
    users: tuple[str, ...]
    default: str
    type_name: str
    kind: Literal["value", "required", "unset", "folder"]
    meaning: str
    secret: bool


def settings_of(service: str) -> type[Settings]:
    """The settings class of a service, by the convention of its name."""
    module = importlib.import_module(f"heliograph.{service}.settings")
    found: type[Settings] = getattr(module, f"{service.capitalize()}Settings")
    return found


def every_setting() -> list[Setting]:
    """The settings, those that all services share first."""
    shared = {_variable(name, field): (name, field) for name, field in Settings.model_fields.items()}
    own: dict[str, tuple[str, FieldInfo, list[str]]] = {}
    for service in SERVICES:
        for name, field in settings_of(service).model_fields.items():
            variable = _variable(name, field)
            if variable not in shared:
                own.setdefault(variable, (name, field, []))[2].append(service)
    found = [_setting(variable, name, field, (ALL,)) for variable, (name, field) in shared.items()]
    return found + [_setting(variable, *rest[:2], tuple(rest[2])) for variable, rest in own.items()]


def _variable(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return f"{PREFIX}{name.upper()}"


def _setting(variable: str, name: str, field: FieldInfo, users: tuple[str, ...]) -> Setting:
    aliased = isinstance(field.validation_alias, AliasChoices)
    limits = [
        f"{sign} {getattr(m, key)}"
        for m in field.metadata
        for kind, key, sign in BOUNDS
        if isinstance(m, kind)
    ]
    kind: Literal["value", "required", "unset", "folder"] = "value"
    if field.default_factory is not None:
        kind = "folder"
    elif field.default is PydanticUndefined:
        kind = "required"
    elif field.default is None:
        kind = "unset"
    return Setting(
        variable=variable,
        key=variable.lower() if aliased else name,
        users=users,
        default=to_json(field.default).decode() if kind == "value" else "",
        type_name=type(field.default).__name__,
        kind=kind,
        meaning="; ".join(filter(None, [field.description or "", ", ".join(limits)])),
        secret=not field.repr,
    )
