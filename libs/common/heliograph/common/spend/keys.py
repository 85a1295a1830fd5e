"""Secrets of metered providers: from the environment, else a mounted file, else AWS Secrets Manager.

A source may hold several values of one secret, the newest first: `GLM_API_KEY` and `GLM_API_KEY_2` in the
environment, one a line in the file `GLM_API_KEY`, a list in the JSON of the AWS secret. A changed file or
secret is taken up without a restart. Nothing here shows a value, and `hide` takes values out of any text.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from heliograph.common.clock import Clock

SECOND = "_2"
FILE_PERIOD_S = 2.0
AWS_PERIOD_S = 300.0
AWS_PERIOD_AFTER_REFUSAL_S = 10.0
HIDDEN = "(hidden)"
SHORTEST = 6
"""Shorter values are not looked for in texts: they would blank out common words."""

State = Literal["held", "missing", "refused"]
"""There is a value to use; there is none; every value was refused."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Keys:
    """The secrets of a process. `current` gives the value to use, `refused` moves on to the next one."""

    def __init__(
        self,
        clock: Clock,
        environment: Mapping[str, str],
        folder: Path | None = None,
        aws_secret: str = "",
        fetch_secret: Callable[[str], str] | None = None,
    ) -> None:
        self._clock = clock
        self._environment = environment
        self._folder = folder
        self._aws_secret = aws_secret
        self._fetch_secret = fetch_secret or aws_secret_string
        self._files: dict[str, tuple[float, list[str]]] = {}
        self._aws: dict[str, list[str]] = {}
        self._aws_at = float("-inf")
        self._refused: dict[str, set[str]] = {}
        self._seen: set[str] = set()
        self._asking = asyncio.Lock()

    def __repr__(self) -> str:
        return "Keys(values hidden)"

    async def current(self, name: str) -> str | None:
        """The newest value that was not refused; None where there is none."""
        refused = self._refused.get(name, set())
        return next((value for value in await self._values(name) if value not in refused), None)

    async def known(self, name: str) -> bool:
        """Whether any source holds the secret, refused or not."""
        return bool(await self._values(name))

    def state(self, name: str) -> State:
        """How a secret is by what was read last; nothing is asked for it."""
        _, in_file = self._files.get(name, (0.0, []))
        values = self._from_environment(name) or in_file or self._aws.get(name, [])
        if not values:
            return "missing"
        return "refused" if set(values) <= self._refused.get(name, set()) else "held"

    def refused(self, name: str, value: str) -> bool:
        """The provider does not take this value: use the next one until the source changes it.

        Returns:
            Whether that is news: calls that are made at once are refused at once.
        """
        known = self._refused.setdefault(name, set())
        if value in known:
            return False
        known.add(value)
        if self._aws_secret:
            # It may have been rotated a moment ago.
            self._aws_at = min(
                self._aws_at, self._clock.monotonic() - AWS_PERIOD_S + AWS_PERIOD_AFTER_REFUSAL_S
            )
        return True

    def hide(self, text: str) -> str:
        """A text without any value that was ever given out."""
        for value in self._seen:
            text = text.replace(value, HIDDEN)
        return text

    async def _values(self, name: str) -> list[str]:
        found = self._from_environment(name) or await self._from_file(name) or await self._from_aws(name)
        self._seen.update(value for value in found if len(value) >= SHORTEST)
        return found

    def _from_environment(self, name: str) -> list[str]:
        return [v for key in (name, name + SECOND) if (v := self._environment.get(key, "").strip())]

    async def _from_file(self, name: str) -> list[str]:
        if self._folder is None:
            return []
        now = self._clock.monotonic()
        read_at, values = self._files.get(name, (float("-inf"), []))
        if now - read_at < FILE_PERIOD_S:
            return values
        try:
            text = await asyncio.to_thread((self._folder / name).read_text, encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
        values = [line.strip() for line in text.splitlines() if line.strip()]
        self._files[name] = (now, values)
        return values

    async def _from_aws(self, name: str) -> list[str]:
        if not self._aws_secret:
            return []
        async with self._asking:
            if self._clock.monotonic() - self._aws_at >= AWS_PERIOD_S:
                self._aws_at = self._clock.monotonic()
                await self._ask_aws()
        return self._aws.get(name, [])

    async def _ask_aws(self) -> None:
        try:
            text = await asyncio.to_thread(self._fetch_secret, self._aws_secret)
            read = msgspec.json.decode(text, type=dict[str, str | list[str]])
        except Exception as error:
            # Of the error only its kind: a message of the decoder may quote what it read.
            await log.awarning("secret not read", secret=self._aws_secret, error=type(error).__name__)
            return
        self._aws = {k: [v] if isinstance(v, str) else v for k, v in read.items()}


def aws_secret_string(name: str) -> str:
    """The text of a secret in AWS Secrets Manager, with the credentials that the AWS client finds."""
    # Its import takes longer than all of the rest of a service's; only who uses it waits.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    options = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    client: Any = boto3.client("secretsmanager", config=options)
    return str(client.get_secret_value(SecretId=name)["SecretString"])
