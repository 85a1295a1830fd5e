"""The pages: links lead somewhere, settings and alerts are those of the code, the examples run."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats_users
import pytest
import settings_table

from heliograph.common import subjects
from heliograph.common.bus import Bus, Message
from heliograph.common.config import Settings
from heliograph.common.events import identity_sha256
from heliograph.common.permissions import OPERATOR, SUBSCRIBER, USERS
from heliograph.common.permissions_file import users_block
from heliograph.common.shards import DEFAULT_SHARDS
from heliograph.stack.__main__ import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GOLDEN = ROOT / "libs" / "common" / "tests" / "golden" / "signal.v1.json"
LINES = 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_settings_are_those_of_the_code() -> None:
    assert settings_table.page_with(settings_table.table()) == settings_table.PAGE.read_text(
        encoding="utf-8"
    ), "the settings have changed: run `python deploy/settings_table.py`"


def test_the_table_of_users_is_that_of_the_code() -> None:
    assert nats_users.page() == nats_users.PAGE.read_text(encoding="utf-8"), (
        "the permissions have changed: run `python deploy/nats_users.py`"
    )


def test_getting_started_names_real_options(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    used = set(re.findall(r"(?<!-)(--[a-z]+)", text))
    for words in (["up"], ["status"], ["signals", "tail"]):
        app([*words, "--help"], exit_on_error=False, result_action="return_value")
    assert used
    assert used <= {"--help", *re.findall(r"--[a-z]+", capsys.readouterr().out)}


def test_decisions_have_context_choice_and_consequence() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert all(number.isdigit() for number in numbers)
    assert len(set(numbers)) == len(numbers), "two decisions have one number"
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for part in ("Context", "Choice", "Consequence"):
            assert f"**{part}.**" in text, (page.name, part)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    """The operator's way into a real server with the users of the platform, and the streams made."""
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{tmp_path / "js"}" }}\n'
        + users_block({user: f'"of {user}"' for user in USERS}, DEFAULT_SHARDS),
        encoding="utf-8",
    )
    binary = Path(sys.executable).with_name("nats-server")
    server = await asyncio.create_subprocess_exec(
        binary, "-c", config, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    settings = Settings(
        nats_url=f"nats://127.0.0.1:{port}", nats_user=OPERATOR, nats_password=f"of {OPERATOR}"
    )
    connected = await Bus.connect(settings, "test")
    await connected.ensure_streams()
    yield connected
    await connected.close()
    server.terminate()
    await server.wait()


def sealed(previous: str, **changes: object) -> tuple[bytes, str]:
    """The golden signal with some changes as it would be published, and its hash."""
    signal = json.loads(GOLDEN.read_bytes()) | changes
    names = ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
    sha256 = identity_sha256(**{name: signal[name] for name in names})
    return json.dumps(signal | {"sha256": sha256, "prev_sha256": previous}).encode(), sha256


@pytest.mark.parametrize(
    ("place", "past_fields", "live_symbol"),
    [
        (0, ["1", "AAPL", "BUY", "163.03", "62.5"], 1),
        (1, ["AAPL", "BUY", "163.03", "156.79", "175.51", "62.5"], 0),
    ],
    ids=["typed", "plain"],
)
async def test_python_examples_read_the_past_and_then_live(
    bus: Bus, place: int, past_fields: list[str], live_symbol: int
) -> None:
    examples = PYTHON.findall((ROOT / "docs" / "subscribing.md").read_text(encoding="utf-8"))
    assert len(examples) == 2
    example = examples[place]
    assert len([line for line in example.splitlines() if line.strip()]) <= LINES
    past, head = sealed("")
    live, _ = sealed(head, symbol="BRK.B", id="00000000000000ff")
    subject = subjects.signal(7, "BRK.B")
    await bus.publish([Message(subject=subject, data=past, msg_id="past")])
    environment = os.environ | {
        "NATS_URL": bus.settings.nats_url,
        "NATS_USER": SUBSCRIBER,
        "NATS_PASSWORD": f"of {SUBSCRIBER}",
    }
    subscriber = await asyncio.create_subprocess_exec(
        sys.executable, "-c", example, stdout=subprocess.PIPE, env=environment
    )
    assert subscriber.stdout
    try:
        async with asyncio.timeout(20):
            before = await subscriber.stdout.readline()
            await bus.publish([Message(subject=subject, data=live, msg_id="live")])
            now = await subscriber.stdout.readline()
    finally:
        subscriber.kill()
        await subscriber.wait()
    assert before.decode().split() == past_fields
    assert now.decode().split()[live_symbol] == "BRK.B"


def test_example_fields_are_those_of_a_signal() -> None:
    text = (ROOT / "docs" / "subscribing.md").read_text(encoding="utf-8")
    fields = set(json.loads(GOLDEN.read_bytes()))
    assert (
        set(re.findall(r"signal\.([a-z_]+)\b(?!\.\*)", text.split("```javascript")[1].split("```")[0]))
        <= fields
    )
    table = text.split("## A signal")[1]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([a-z_0-9]+)`", row.split("|")[1])
    }
    assert named >= fields - {"kind", "v", "received"}
    assert named <= fields
