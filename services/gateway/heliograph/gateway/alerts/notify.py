"""Alerts as messages for people and machines, sent by Apprise; a secret never gets into a text or a log."""

import asyncio
import logging
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from heliograph.common.clock import NANOSECONDS
from heliograph.common.errors import ConfigError, UnavailableError
from heliograph.common.events import Alert
from heliograph.common.spend.keys import Keys
from heliograph.gateway.alerts.settings import AlertTarget
from heliograph.gateway.alerts.states import key_of

SECRET = re.compile(r"\{([A-Z][A-Z0-9_]*)}")
EXPECTED = "a URL as Apprise has them, e.g. mailtos://user:{SMTP_PASSWORD}@example.org?to=ops@example.org"
WITHIN_S = 30.0


class Notifier:
    """The targets of the settings."""

    def __init__(self, targets: Mapping[str, AlertTarget], keys: Keys) -> None:
        self._targets = dict(targets)
        self._keys = keys

    @property
    def targets(self) -> dict[str, AlertTarget]:
        """By name."""
        return self._targets

    async def check(self) -> None:
        """See that each target is one.

        Raises:
            ConfigError: a URL is none that Apprise knows, or names a secret that there is not.
        """
        if not self._targets:
            return
        apprise = await asyncio.to_thread(_apprise)
        for name, target in self._targets.items():
            for secret in SECRET.findall(target.url):
                if not await self._keys.known(secret):
                    raise ConfigError(
                        f"alert_targets.{name}.url: names the secret {secret}, expected it in the "
                        "environment, in keys_folder or in keys_secret"
                    )
            if apprise.Apprise.instantiate(await self._url(target)) is None:
                raise ConfigError(f"alert_targets.{name}.url: (not shown), expected {EXPECTED}")

    async def send(self, name: str, alert: Alert) -> None:
        """Send an alert to one target, once.

        Raises:
            UnavailableError: it was not taken; the message says why, without any secret.
        """
        said: list[str] = []
        apprise = await asyncio.to_thread(_apprise)
        sender = apprise.Apprise()
        sender.add(with_identity(await self._url(self._targets[name]), alert))
        result = await sender.async_notify(
            title=title(alert),
            body=body(alert),
            notify_type=_kind(alert),
            body_format="text",
            timeout=WITHIN_S,
            log_callback=lambda entry: said.append(str(entry.message)),
            log_level=logging.WARNING,
        )
        if not result:
            reason = self._keys.hide("; ".join(said)) or "not taken"
            raise UnavailableError(f"{name}: {reason}")

    async def _url(self, target: AlertTarget) -> str:
        """The URL with its secrets: as they are where one is the whole URL, else quoted."""
        whole = SECRET.fullmatch(target.url)
        if whole:
            return await self._keys.current(whole[1]) or ""
        names = set(SECRET.findall(target.url))
        values = {name: quote(await self._keys.current(name) or "", safe="") for name in names}
        return SECRET.sub(lambda found: values[found[1]], target.url)


def title(alert: Alert) -> str:
    """One line that tells raised from resolved."""
    return f"{'RESOLVED' if alert.status == 'resolved' else alert.severity.upper()}: {alert.summary}"


def body(alert: Alert) -> str:
    """What it is, since when, and what to do."""
    since = alert.ts if alert.since is msgspec.UNSET else alert.since
    lines = [
        f"{alert.name} ({alert.severity}), {alert.status}",
        f"since {_time(since)}" + (f" until {_time(alert.ts)}" if alert.status == "resolved" else ""),
    ]
    if alert.remedy and alert.status == "firing":
        lines.append(str(alert.remedy))
    return "\n".join(lines)


def with_identity(url: str, alert: Alert) -> str:
    """The URL with what tells alerts apart: the incident at PagerDuty, fields in a webhook."""
    scheme = url.partition("://")[0].lower()
    labels = {} if alert.labels is msgspec.UNSET else alert.labels
    key = key_of(alert.name, labels)
    if scheme == "pagerduty":
        more = {"action": "map", "dedup": key}
    elif scheme in ("json", "jsons"):
        fields = {"id": alert.id, "key": key, "name": alert.name, "severity": alert.severity}
        fields |= {"status": alert.status} | {f"label_{name}": value for name, value in labels.items()}
        more = {f":{name}": value for name, value in fields.items()}
    else:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(more)}"


def _kind(alert: Alert) -> str:
    if alert.status == "resolved":
        return "success"
    return "failure" if alert.severity == "critical" else "warning"


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // NANOSECONDS, UTC):%Y-%m-%d %H:%M:%S} UTC"


@cache
def _apprise() -> Any:
    """Apprise with its services, kept from a log of its own: in the finest of it are URLs with their secrets.

    Blocks for about a second at first, and takes memory: only who has targets needs it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # one of its services imports an old module
        import apprise  # noqa: PLC0415

        apprise.Apprise.instantiate("json://127.0.0.1")
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.WARNING)
    return apprise
