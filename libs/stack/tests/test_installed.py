"""The commands of installed distributions."""

import importlib.metadata
from pathlib import Path

import pytest

from heliograph.stack.__main__ import app
from heliograph.stack.commands.installed import GROUP, summary

ENTRIES = sorted(importlib.metadata.entry_points(group=GROUP))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_command_says_what_it_does_and_can_be_imported(entry: importlib.metadata.EntryPoint) -> None:
    assert entry.name in list(app)
    assert len(summary(entry.module, entry.attr)) > len("Do it.")
    assert entry.load() is not None


def test_what_says_nothing_of_itself_has_no_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "silent.py").write_text("def run():\n    pass\n\n\napp = App(help=TEXT)\nother = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [summary("silent", name) for name in ("run", "app", "other", "none")] == [""] * 4
    assert summary("no_such_module", "run") == ""
