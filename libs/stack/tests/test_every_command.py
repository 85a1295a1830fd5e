"""Every command of `heliograph`: its help, its errors, and the completion of a real shell."""

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App

from heliograph.stack.__main__ import app, main

ROOT = next(p for p in Path(__file__).resolve().parents if (p / "requirements.lock").is_file())
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "deploy").rglob("*.md"),
    *(ROOT / "libs/common/heliograph/common").glob("alerts.toml"),
    *(ROOT / "libs/common/heliograph/common").glob("metrics.py"),
]
Run = Callable[..., tuple[object, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: its exit code and all that it prints."""

    def command(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["heliograph", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, "".join(capsys.readouterr())

    return command


def commands(above: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command that does something, by its words."""
    for name in above:
        if name.startswith("-"):
            continue
        found = above[name]
        words = (*path, name)
        if found.default_command is not None:
            yield words, found
        yield from commands(found, words)


SOME = ("up", "status", "signals show", "signals verify", "archive cost", "config check", "spend", "ab")


def test_every_command_has_a_help_that_names_and_explains_each_option(run: Run) -> None:
    found = dict(commands(app))
    assert {tuple(words.split()) for words in SOME} <= set(found)
    for words, command in found.items():
        code, told = run(*words, "--help")
        assert code == 0, words
        assert f"heliograph {' '.join(words)}" in told
        written = inspect.getdoc(command.default_command) or ""
        for argument in command.assemble_argument_collection():
            explained = argument.parameter.help or f"\n    {argument.field_info.name}: " in written
            assert explained, f"{words}: {argument.name} says nothing of itself"
            assert argument.name in told or argument.name.removeprefix("--").upper() in told


def told_of(text: str) -> Iterator[str]:
    """What a page writes behind `heliograph`: in a line of code, or between backticks."""
    inline = re.findall(r"`(?:\.venv/bin/)?heliograph ([^`]+)`", text)
    lines = re.findall(r"^(?: +|\.venv/bin/| +\.venv/bin/)heliograph ([^#\n]+)", text, re.MULTILINE)
    yield from (*inline, *lines)


def test_the_pages_name_real_commands_and_options() -> None:
    options = {
        words: {name for argument in command.assemble_argument_collection() for name in argument.names}
        for words, command in commands(app)
    }
    seen = set()
    for page in PAGES:
        for told in told_of(page.read_text(encoding="utf-8")):
            typed = told.partition(" -- ")[0].split()
            words = next((tuple(typed[:n]) for n in (2, 1) if tuple(typed[:n]) in options), None)
            groups = {known[0] for known in options}
            assert words or typed[0].startswith("-") or (len(typed) == 1 and typed[0] in groups), (page, told)
            seen.add(words)
            named = {word.partition("=")[0] for word in typed if word.startswith("--")}
            assert named <= {"--help", *options.get(words or (), ())}, (page, told)
    assert len(seen) > len(options) / 2


def test_every_command_refuses_an_option_that_it_does_not_have(run: Run) -> None:
    for words, _ in commands(app):
        code, told = run(*words, "--no-such-option")
        assert code == 2, words
        assert "--no-such-option" in told or "requires an argument" in told, words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("up --once --provider kraken", "provider: 'kraken' with --once, expected a replay"),
        ("signals show xyz", "signal: 'xyz', expected an id of 16 hex digits"),
        ("signals verify 0F3A9C41D27BE865", "signal: '0F3A9C41D27BE865', expected"),
        ("signals open --limit 0", "limit: 0, expected 1 to 100"),
        ("signals tail --last -1", "last: -1, expected 0 or more"),
        ("signals tail --since soon", "since: 'soon', expected"),
        ("sources --last 0", "last: 0, expected 1 to 100000"),
        ("health --level 9", "level: 9, expected 1, 2 or 3"),
        ("analyze SNOW --to yesterday", "to: 'yesterday', expected a day such as"),
        ("analyze SNOW --agents nobody", "agents: nobody, expected some of fundamentals"),
        ("archive cost --ia soon", "soon"),
        ("completion tcsh", "tcsh"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(run: Run, words: str, told: str) -> None:
    code, printed = run(*words.split())
    assert code == 2
    assert told in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "signals tail",
        "signals open",
        "signals show 0f3a9c41d27be865",
        "signals verify 0f3a9c41d27be865",
        "spend",
        "sources",
        "outcomes",
        "calibration",
        "verify",
        "rebuild",
        "archive verify",
    ],
)
def test_without_a_stack_it_says_how_to_start_one(run: Run, words: str, tmp_path: Path) -> None:
    code, printed = run(*words.split(), "--state", str(tmp_path / "state"))
    assert code == 1
    assert "no stack runs on" in printed
    assert "heliograph up" in printed


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the completion of each shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        text = app.generate_completion(prog_name="heliograph", shell=shell)
        (folder / shell).write_text(text)
    return folder


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["sig"], {"signals"}),
        (["signals", ""], {"open", "show", "tail", "verify"}),
        (["archive", "ver"], {"verify"}),
        (["signals", "tail", "--sy"], {"--symbol"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(scripts: Path, typed: list[str], offered: set[str]) -> None:
    asked = f"""
        source {scripts / "bash"}
        COMP_WORDS=(heliograph "$@"); COMP_CWORD=$#
        _heliograph
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", asked, "bash", *typed],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert offered <= set(done.stdout.split())
    assert all(word.startswith(typed[-1]) for word in done.stdout.split())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(scripts: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([program, "-n", str(scripts / shell)], timeout=60, check=True)


def test_the_command_prints_the_script(run: Run, scripts: Path) -> None:
    assert run("completion", "bash") == (0, (scripts / "bash").read_text())
