"""Each process is told its own secrets and no others."""

from pathlib import Path

import pytest

from heliograph.stack import services
from heliograph.stack.options import Options
from heliograph.stack.state import State


def test_each_service_is_its_own_user_and_the_record_is_the_trackers(state: State, tmp_path: Path) -> None:
    engines = {
        "NATS_USER": "operator",
        "NATS_PASSWORD": "of the operator",
        "POSTGRES_URL": "postgresql://tracker",
        "POSTGRES_OWNER_URL": "postgresql://owner",
    }
    options = Options(data=tmp_path, speed=None)
    commands = services.commands(services.SERVICES, options, state, 4, 0, engines)
    assert [command.environment["NATS_USER"] for command in commands] == list(services.SERVICES)
    for command in commands:
        user = state.nats_user(command.name)
        assert command.environment["NATS_PASSWORD"] == user.password
        others = {state.nats_user(name).password for name in (*services.SERVICES, "operator")} - {
            user.password
        }
        assert not others & set(command.environment.values())
        told = {key for key in command.environment if key.startswith("POSTGRES_")}
        assert told == (set(services.RECORD) if command.name == "tracker" else set())


def test_live_prices_are_one_option(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_PROVIDER", "massive")
    for provider, told in (("kraken", "kraken"), (None, "massive")):
        options = Options(data=tmp_path, speed=None, provider=provider)
        (fetcher,) = services.commands(["fetcher"], options, state, 4, 0, {})
        assert fetcher.environment["HELIOGRAPH_PROVIDER"] == told
