"""`heliograph init` and `heliograph config check`: the configuration file, and whether it makes sense."""

import contextlib
import difflib
import os
import sys
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from heliograph.common.config import CONFIG_FILE, PREFIX, load
from heliograph.common.errors import ConfigError, InputError
from heliograph.stack.options import sample_folder
from heliograph.stack.services import SERVICES
from heliograph.stack.settings_list import ALL, Setting, every_setting, settings_of

app = App(name="config", help="The configuration of the services.")

DEFAULT = Path("heliograph.toml")
HEAD = """\
# Heliograph's configuration. Every line that is commented out shows the default.
# The environment goes before this file: each setting names its variable. Secrets belong there alone.
"""
DATA = f"{PREFIX}DATA"
FAILED = 1


def init(
    file: Annotated[Path, Parameter(help="Where to write it.")] = DEFAULT,
    *,
    force: Annotated[bool, Parameter(negative="", help="Replace a file that is there.")] = False,
) -> int:
    """Write a configuration file with every setting, its default and its meaning, commented out."""
    if file.exists() and not force:
        raise InputError(f"file: {file} is there; --force replaces it")
    try:
        file.write_text(text(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"file: {file}: {error.strerror}") from error
    sys.stdout.write(f"{file}\n")
    return 0


def text() -> str:
    """The file: what all services share first, then each service's own."""
    parts = [HEAD]
    for users, settings in groupby(every_setting(), key=lambda setting: setting.users):
        who = "all services" if users == (ALL,) else ", ".join(users)
        parts.append(f"\n## {who}\n")
        parts += [_lines(setting) for setting in settings if not setting.secret]
    return "".join(parts)


def _lines(setting: Setting) -> str:
    about = f"{setting.meaning} ({setting.variable})" if setting.meaning else setting.variable
    if setting.kind == "value":
        value = inline(msgspec.json.decode(setting.default))
    else:
        value = {
            "required": '"" # required',
            "unset": '"" # unset',
            "folder": '"" # under the working folder',
        }[setting.kind]
    return f"\n# {about}\n# {setting.key} = {value}\n"


def inline(value: object) -> str:
    """A value of JSON on one line of TOML."""
    if isinstance(value, dict):
        pairs = (f"{inline(key)} = {inline(item)}" for key, item in value.items() if item is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return msgspec.json.encode(value).decode()


class Report(msgspec.Struct, frozen=True):
    """What is wrong: with each service's settings, and with names that no service reads."""

    services: dict[str, str]
    unknown: list[str]

    @property
    def fine(self) -> bool:
        """Whether nothing is."""
        return not any(self.services.values()) and not self.unknown


@app.command
def check(*, json: Annotated[bool, Parameter(negative="", help="JSON on stdout.")] = False) -> int:
    """Check the environment and the file for every service; exits with 1 where something is wrong."""
    found = examine()
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        for service, problem in found.services.items():
            sys.stdout.write(f"{service:<10} {problem or 'fine'}\n")
        for line in found.unknown:
            sys.stdout.write(f"{line}\n")
    return 0 if found.fine else FAILED


def examine() -> Report:
    """The settings as each service would read them; the data folder of `heliograph up` where none is set.

    Raises:
        ConfigError: the file cannot be read.
    """
    with sample_where_none_is_set():
        unknown = unknown_names()
        problems = {}
        for service in SERVICES:
            try:
                load(settings_of(service))
                problems[service] = ""
            except ConfigError as error:
                problems[service] = str(error)
    return Report(problems, unknown)


@contextlib.contextmanager
def sample_where_none_is_set() -> Iterator[None]:
    """Let the fetcher's data folder be the sample's for a while, as `heliograph up` does."""
    if DATA in os.environ:
        yield
        return
    os.environ[DATA] = str(sample_folder())
    try:
        yield
    finally:
        del os.environ[DATA]


def unknown_names() -> list[str]:
    """Keys of the file and variables of the environment that no service reads, each with the nearest name.

    Raises:
        ConfigError: the file cannot be read.
    """
    settings = every_setting()
    path = Path(os.environ.get(CONFIG_FILE, DEFAULT))
    keys: list[str] = []
    if path.is_file():
        try:
            keys = list(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
    variables = [name for name in os.environ if name.startswith(PREFIX) and name != CONFIG_FILE]
    return [
        *_unknown(str(path), keys, [setting.key for setting in settings]),
        *_unknown("environment", variables, [setting.variable for setting in settings]),
    ]


def _unknown(where: str, names: list[str], known: list[str]) -> list[str]:
    found = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            found.append(f"{where}: {name}: no such setting" + (f"; is it {near[0]}?" if near else ""))
    return found
