"""Secrets: where they are looked for, how they rotate, and that nothing shows them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from heliograph.common.spend.keys import AWS_PERIOD_AFTER_REFUSAL_S, AWS_PERIOD_S, FILE_PERIOD_S, Keys

NAME = "GLM_API_KEY"


class ToldClock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


async def test_the_environment_goes_before_the_file_before_the_secret(
    clock: ToldClock, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_text("from-file\n", encoding="utf-8")

    def fetch(_: str) -> str:
        return json.dumps({NAME: "from-aws"})

    for environment, folder, secret, expected in (
        ({NAME: " from-env "}, tmp_path, "s", "from-env"),
        ({NAME: "", "OTHER": "x"}, tmp_path, "s", "from-file"),
        ({}, tmp_path / "absent", "s", "from-aws"),
        ({}, None, "", None),
    ):
        assert await Keys(clock, environment, folder, secret, fetch).current(NAME) == expected


async def test_a_refused_value_gives_way_to_the_second_one(clock: ToldClock) -> None:
    keys = Keys(clock, {NAME: "old-key", NAME + "_2": "new-key"})
    assert await keys.current(NAME) == "old-key"
    keys.refused(NAME, "old-key")
    assert await keys.current(NAME) == "new-key"
    keys.refused(NAME, "new-key")
    assert (await keys.current(NAME), keys.state(NAME)) == (None, "refused")
    assert await keys.known(NAME)
    assert not await keys.known("OTHER")


async def test_a_changed_file_is_taken_up(clock: ToldClock, tmp_path: Path) -> None:
    keys, file = Keys(clock, {}, tmp_path), tmp_path / NAME
    assert await keys.current(NAME) is None
    file.write_text("key-one\nkey-two\n", encoding="utf-8")
    clock.seconds += FILE_PERIOD_S
    assert keys.state(NAME) == "missing"  # by what was read last
    assert await keys.current(NAME) == "key-one"
    keys.refused(NAME, "key-one")
    assert keys.state(NAME) == "held"
    assert await keys.current(NAME) == "key-two"
    file.write_text("key-three", encoding="utf-8")
    clock.seconds += FILE_PERIOD_S
    assert await keys.current(NAME) == "key-three"
    file.write_bytes(b"\xff\xfe")
    clock.seconds += FILE_PERIOD_S
    assert await keys.current(NAME) is None


@pytest.fixture
def secrets_manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A Secrets Manager on loopback, and a way to write the secret `heliograph/keys`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client: Any = boto3.client("secretsmanager")
    client.create_secret(Name="heliograph/keys", SecretString="{}")

    def write(values: dict[str, Any]) -> None:
        client.put_secret_value(SecretId="heliograph/keys", SecretString=json.dumps(values))

    yield write
    server.stop()


async def test_a_rotated_secret_of_aws_is_taken_up(
    clock: ToldClock, secrets_manager: Callable[[dict[str, Any]], None]
) -> None:
    secrets_manager({NAME: ["key-one", "key-two"], "QWEN_API_KEY": "qwen-one"})
    keys = Keys(clock, {}, None, "heliograph/keys")
    assert (await keys.current(NAME), await keys.current("QWEN_API_KEY")) == ("key-one", "qwen-one")
    secrets_manager({NAME: "key-three"})
    clock.seconds += AWS_PERIOD_S - 1
    assert await keys.current(NAME) == "key-one"
    clock.seconds += 1
    assert await keys.current(NAME) == "key-three"
    # A key that was rotated a moment ago is refused first, and then looked for sooner.
    secrets_manager({NAME: "key-four"})
    keys.refused(NAME, "key-three")
    assert await keys.current(NAME) is None
    clock.seconds += AWS_PERIOD_AFTER_REFUSAL_S
    assert await keys.current(NAME) == "key-four"


async def test_a_secret_that_cannot_be_read_is_none_and_asked_for_again(clock: ToldClock) -> None:
    answers = ["not json", json.dumps({NAME: 5}), json.dumps({NAME: "key-one"})]

    def fetch(_: str) -> str:
        if not answers:
            raise OSError("gone")
        return answers.pop(0)

    keys = Keys(clock, {}, None, "s", fetch)
    found = []
    for _ in range(4):
        found.append(await keys.current(NAME))
        clock.seconds += AWS_PERIOD_S
    assert found == [None, None, "key-one", "key-one"]


async def test_nothing_shows_a_value(clock: ToldClock, capsys: pytest.CaptureFixture[str]) -> None:
    def fetch(_: str) -> str:
        return '{"GLM_API_KEY": "sk-very-secret", }'

    keys = Keys(clock, {"QWEN_API_KEY": "sk-very-secret"}, None, "s", fetch)
    assert await keys.current("QWEN_API_KEY") == "sk-very-secret"
    assert await keys.current(NAME) is None
    shown = capsys.readouterr()
    assert "sk-very-secret" not in repr(keys) + shown.out + shown.err
    assert keys.hide("refused: sk-very-secret!") == "refused: (hidden)!"
