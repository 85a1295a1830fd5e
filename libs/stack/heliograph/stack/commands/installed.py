"""The commands that installed distributions bring, imported only when they are used."""

import ast
import importlib.metadata
import importlib.util
from pathlib import Path

from cyclopts import App

GROUP = "heliograph.commands"


def register(app: App) -> None:
    """Add every command of the entry points `heliograph.commands`."""
    for entry in sorted(importlib.metadata.entry_points(group=GROUP)):
        app.command(entry.value, name=entry.name, help=summary(entry.module, entry.attr))


def summary(module: str, attribute: str) -> str:
    """What a command says of itself, read from its source, since importing all of them takes seconds.

    The first line of a function's docstring, or the `help` of an `App`; empty where neither is written there.
    """
    found = importlib.util.find_spec(module)
    if found is None or not found.origin:
        return ""
    for node in ast.parse(Path(found.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [attribute]:
            return _help(node.value)
    return ""


def _help(made: ast.expr) -> str:
    """The constant `help` of the call that makes an `App`."""
    keywords = made.keywords if isinstance(made, ast.Call) else []
    texts = (k.value.value for k in keywords if k.arg == "help" and isinstance(k.value, ast.Constant))
    return str(next(texts, ""))
