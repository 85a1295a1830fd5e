"""The JavaScript and Go examples for subscribers, as they stand in the docs, where runtimes are at hand."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from heliograph.common.bus import Bus

from .test_client import Published

PAGE = (Path(__file__).parents[3] / "docs" / "subscribing.md").read_text(encoding="utf-8")
NODE_MODULES = os.environ.get("HELIOGRAPH_NODE_MODULES", "")
"""A `node_modules` folder with @nats-io/transport-node and @nats-io/jetstream."""
GO_PATH = os.environ.get("HELIOGRAPH_GOPATH", "")
"""A GOPATH with github.com/nats-io/nats.go, such as that of Debian: golang-github-nats-io-go-nats-dev."""


def example(language: str) -> str:
    """The only example of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


async def lines(program: list[str], folder: Path, url: str, published: Published) -> list[str]:
    """What an example prints of two signals of the past and one that is published while it runs."""
    await published.send("AAPL", "BRK.B")
    environment = {**os.environ, "NATS_URL": url, "NATS_USER": "", "NATS_PASSWORD": ""}
    process = await asyncio.create_subprocess_exec(
        *program, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            found = [(await process.stdout.readline()).decode() for _ in range(2)]
            await published.send("BTC/USD")
            return [*found, (await process.stdout.readline()).decode()]
    finally:
        process.kill()
        await process.wait()


def check(found: list[str], published: Published) -> None:
    for line, signal in zip(found, published.signals, strict=True):
        assert line.split()[:2] == [signal.symbol, signal.action]
        assert f"{signal.entry:g}" in line


@pytest.mark.skipif(
    shutil.which("node") is None or not NODE_MODULES,
    reason="no node, or HELIOGRAPH_NODE_MODULES names no folder with @nats-io/transport-node",
)
async def test_javascript_reads_the_past_and_then_live(bus: Bus, nats_server: Any, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "example.mjs").write_text(example("javascript"), encoding="utf-8")
    published = Published(bus)
    check(await lines(["node", "example.mjs"], tmp_path, nats_server.url, published), published)


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    shutil.which("go") is None or not GO_PATH, reason="no go, or HELIOGRAPH_GOPATH holds no nats.go"
)
async def test_go_reads_the_past_and_then_live(bus: Bus, nats_server: Any, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(example("go"), encoding="utf-8")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": GO_PATH}
    build = ["go", "build", "-o", "example", "."]
    await asyncio.to_thread(subprocess.run, build, cwd=tmp_path, env=environment, timeout=280, check=True)
    published = Published(bus)
    check(await lines([str(tmp_path / "example")], tmp_path, nats_server.url, published), published)


@pytest.mark.skipif(shutil.which("nats") is None, reason="no nats command line here")
async def test_the_nats_command_line_reads_the_past(bus: Bus, nats_server: Any) -> None:
    published = Published(bus)
    await published.send("AAPL", "BRK.B")
    done = await asyncio.to_thread(
        subprocess.run,
        ["nats", "--server", nats_server.url, "stream", "get", "SIGNAL", "--last-for", "signal.*.AAPL"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert published.signals[0].id in done.stdout


def test_every_example_has_its_language() -> None:
    for language, called in (("javascript", "jetstream(client)"), ("go", "nats.OrderedConsumer()")):
        assert called in example(language)
