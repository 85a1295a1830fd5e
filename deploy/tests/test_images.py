"""The Dockerfile and the cut of the lock that it installs from."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pins
import pytest

from heliograph.stack.services import LEAN

LOCK = """\
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
beta==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:ba
beta==3.0 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
gamma==4.0
    # via alpha
"""


def test_entries_come_with_their_hashes() -> None:
    assert pins.subset(LOCK, "alpha==1.0\n") == "".join(LOCK.splitlines(keepends=True)[:3])


def test_the_locked_version_is_taken_where_there_are_several() -> None:
    assert pins.subset(LOCK, "beta==3.0") == "".join(LOCK.splitlines(keepends=True)[5:7])


def test_comments_and_markers_in_the_names_do_not_matter() -> None:
    assert pins.subset(LOCK, "# a comment\nbeta==2.0 ; sys_platform == 'linux'\n").startswith("beta==2.0 ;")


@pytest.mark.parametrize("wanted", ["delta==1.0", "alpha==1.1"])
def test_what_was_not_locked_ends_the_build(tmp_path: Path, deploy: Path, wanted: str) -> None:
    (tmp_path / "lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "names").write_text(wanted, encoding="utf-8")
    command = [sys.executable, *map(str, (deploy / "pins.py", tmp_path / "lock", tmp_path / "names"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{wanted} is not in" in done.stderr
    assert done.stdout == ""


def test_every_entry_of_the_real_lock_survives_the_cut(deploy: Path) -> None:
    lock = (deploy.parent / "requirements.lock").read_text(encoding="utf-8")
    names = [line for line in lock.splitlines() if pins.ENTRY.match(line)]
    assert len(names) > 50
    cut = pins.subset(lock, "\n".join(dict.fromkeys(re.split(r"[ ;\\]", name)[0] for name in names)))
    assert sorted(cut.splitlines()) == sorted(line for line in lock.splitlines() if line.strip())
    assert all("--hash=sha256:" in entry for found in pins.entries(lock).values() for entry in found)


@pytest.fixture
def stages(deploy: Path) -> list[str]:
    text = (deploy / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]


def test_installs_from_hashes_alone(stages: list[str]) -> None:
    installs = re.findall(r"pip (?:install|sync) [^;&\n]*", stages[0])
    assert len(installs) == 4
    assert all(
        "--require-hashes" in line or ("--no-deps" in line and "--offline" in line) for line in installs
    )


def test_image_runs_as_nobody_special(stages: list[str]) -> None:
    assert re.findall(r"^USER (.*)$", stages[-1], flags=re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"^(RUN|ADD) .*(apt|curl|pip)", stages[-1], flags=re.MULTILINE)


def test_image_is_slim_and_carries_neither_caches_nor_half_written_bytecode(
    deploy: Path, stages: list[str]
) -> None:
    build, image = stages
    assert "ARG PYTHON_IMAGE=python:3.12-slim-" in (deploy / "Dockerfile").read_text(encoding="utf-8")
    assert build.startswith("FROM ${PYTHON_IMAGE} AS build\n")
    assert image.startswith("FROM ${PYTHON_IMAGE}\n")
    assert "PIP_NO_CACHE_DIR=1" in build
    assert "UV_NO_CACHE=1" in build
    assert "PYTHONDONTWRITEBYTECODE=1" in image
    # Else each start would compile everything anew, and nowhere to keep it.
    level = re.findall(r"PYTHONOPTIMIZE=(\d)", image)
    assert re.findall(r"-m compileall -q -o (\d) ", build) == level == ["1"]


def test_a_process_is_as_lean_as_on_one_machine(stages: list[str]) -> None:
    told = dict(re.findall(r"\b([A-Z_]+)=(\S+)", stages[-1]))
    assert LEAN.items() <= told.items()


def test_no_assertion_of_ours_is_lost_in_the_image(deploy: Path) -> None:
    """The images leave assertions out; what must hold there raises."""
    sources = [
        p for part in ("libs", "services") for p in (deploy.parent / part).glob("*/heliograph/**/*.py")
    ]
    assert len(sources) > 300
    found = [
        p for p in sources if any(isinstance(n, ast.Assert) for n in ast.walk(ast.parse(p.read_bytes())))
    ]
    assert found == []


def test_image_gets_signals_and_tells_its_health(stages: list[str]) -> None:
    assert 'ENTRYPOINT ["/opt/heliograph/bin/service"]' in stages[-1]
    assert re.search(r"^HEALTHCHECK .*CMD \[.*/livez", stages[-1], flags=re.MULTILINE)


def test_each_service_has_the_script_that_the_image_starts(deploy: Path, services: list[str]) -> None:
    for service in services:
        text = (deploy.parent / "services" / service / "pyproject.toml").read_text(encoding="utf-8")
        assert f'heliograph-{service} = "heliograph.{service}.__main__:main"' in text


def test_build_context_holds_what_is_copied(deploy: Path, stages: list[str]) -> None:
    allowed = (deploy / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", stages[0], flags=re.MULTILINE)
        for source in line.split()[:-1]
    }
    for source in copied:
        assert any(
            source == rule[1:] or source.startswith(f"{rule[1:]}/") for rule in allowed if rule[0] == "!"
        )
        assert (deploy.parent / source.replace("${SERVICE}", "gateway")).exists()
