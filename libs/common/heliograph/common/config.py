"""Typed configuration: environment over file over defaults; a bad value fails at start and names its key."""

import os
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from heliograph.common.errors import ConfigError
from heliograph.common.shards import DEFAULT_SHARDS

CONFIG_FILE = "HELIOGRAPH_CONFIG"
PREFIX = "HELIOGRAPH_"


def from_env(name: str) -> AliasChoices:
    """Take a setting from the environment variable `name`, else from the key in the file."""
    return AliasChoices(name, name.lower())


class Settings(BaseSettings):
    """What every service needs. Services add their own by a subclass in their `settings.py`.

    Keys without another name are read as `HELIOGRAPH_<KEY>` from the environment and `<key>` from the file
    that `HELIOGRAPH_CONFIG` names (default `heliograph.toml`, which need not exist).
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=False
    )

    own_nice: ClassVar[int] = 0
    """The niceness of the service where `nice` is unset: nobody waits for a report as for a signal."""

    nats_url: str = Field("nats://127.0.0.1:4222", validation_alias=from_env("NATS_URL"))
    nats_user: str = Field(
        "",
        validation_alias=from_env("NATS_USER"),
        pattern=r"^[A-Za-z0-9_-]*$",
        description="its inboxes begin with `_INBOX_<user>`",
    )
    nats_password: str = Field("", validation_alias=from_env("NATS_PASSWORD"), repr=False)
    nats_ca: str = Field(
        "",
        validation_alias=from_env("NATS_CA"),
        description="file of the certificates that vouch for NATS, PEM; it or a URL `tls://` asks for TLS",
    )
    nats_cert: str = Field(
        "", validation_alias=from_env("NATS_CERT"), description="file of the own certificate for NATS, PEM"
    )
    nats_key: str = Field("", validation_alias=from_env("NATS_KEY"), description="file of its key, PEM")
    otlp_endpoint: str = Field("", validation_alias=from_env("OTEL_EXPORTER_OTLP_ENDPOINT"))
    shards: int = Field(DEFAULT_SHARDS, ge=1, le=1024)
    member: str = Field("", description="name of this process among the replicas; random when empty")
    probe_host: str = "127.0.0.1"
    probe_port: int = Field(
        0, ge=0, le=65535, description="port of /livez, /readyz and /metrics; 0 takes a free one"
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    trace_sample: float = Field(0.01, ge=0, le=1, description="share of traces kept that led to no signal")
    heartbeat_s: float = Field(1.0, gt=0, le=60)
    member_ttl_s: float = Field(4.0, gt=0, le=600, description="a member silent for so long is gone")
    batch_messages: int = Field(256, ge=1, le=10_000, description="messages handled at once in a shard")
    dead_letter_limit: int = Field(100, ge=1, description="dead letters after which a service stops")
    stream_max_bytes: int = Field(-1, ge=-1, description="disk reserved for each stream; -1 for no limit")
    nice: int | None = Field(
        None,
        ge=0,
        le=19,
        description="least niceness of the process; unset: archiver 10, reasoning 5, others 0",
    )
    replicas: int = Field(1, ge=1, le=5, description="replicas of each stream and bucket in a NATS cluster")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file over defaults."""
        file = Path(os.environ.get(CONFIG_FILE, "heliograph.toml"))
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file))


S = TypeVar("S", bound=Settings)


def load(kind: type[S]) -> S:
    """The settings of a service.

    Raises:
        ConfigError: a value is wrong; the message names each key, the value and what was expected.
    """
    named = os.environ.get(CONFIG_FILE)
    if named and not Path(named).is_file():
        raise ConfigError(f"{CONFIG_FILE}: {named!r} is not a file")
    try:
        return kind()
    except ValidationError as error:
        lines = [_told(kind, e["loc"], e["input"], e["msg"]) for e in error.errors()]
        raise ConfigError("configuration: " + "; ".join(lines)) from None
    except ValueError as error:
        raise ConfigError(f"configuration: {error}") from None


def _told(kind: type[Settings], location: tuple[int | str, ...], value: object, message: str) -> str:
    """One wrong setting: its key, its value unless that is a secret, and what was expected."""
    key = ".".join(map(str, location))
    names = {
        name: field for name, field in kind.model_fields.items() if name == key or key in _aliases(field)
    }
    secret = any(not field.repr for field in names.values())
    return f"{key}: {'(not shown)' if secret else repr(value)}, {message[:1].lower()}{message[1:]}"


def _aliases(field: FieldInfo) -> list[object]:
    alias = field.validation_alias
    return list(alias.choices) if isinstance(alias, AliasChoices) else [alias]
