"""Every alert of the table: brought about, delivered by mail and to a webhook, and resolved."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from heliograph.common.alerts import Rule, table
from heliograph.common.bus import Bus
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.config import Settings
from heliograph.gateway.alerts.delivery import Delivery
from heliograph.gateway.alerts.settings import AlertSettings

from .alert_rig import (
    Eventually,
    Hook,
    Mailbox,
    Members,
    MovedClock,
    mail_sink,
    nats,
    notifier,
    only,
    targets,
    watch_of,
    web_sink,
)
from .provocations import PROVOCATIONS, Platform

LOOKS = 90
MINUTE_S, LONG_S, LONGEST_S = 60.0, 300.0, 1200.0
SUBJECTS = {
    "ServiceDown": {"service": "tracker"},
    "ServiceMissing": {"service": "archiver"},
    "Lag": {"service": "tracker"},
    "HandleTimeBudget": {"service": "consensus"},
    "HandleTimeExceeded": {"service": "consensus"},
}
"""Which of an alert is awaited, where others of its name may be about."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats(tmp_path_factory.mktemp("alerts")) as server:
        yield server


@pytest.fixture(scope="module")
def mails() -> Iterator[tuple[Mailbox, str]]:
    with mail_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with web_sink() as sink:
        yield sink


@pytest.fixture
async def bus(url: str) -> AsyncIterator[Bus]:
    connected = await Bus.connect(Settings(nats_url=url, shards=4), "test")
    await connected.ensure_streams()
    yield connected
    await connected.close()


def step_of(rule: Rule) -> float:
    """Seconds between two looks: rules that look far back need not be looked at as often."""
    if "1d]" in rule.expr:
        return LONGEST_S
    return LONG_S if "1h]" in rule.expr or rule.for_s >= 3600 else MINUTE_S


def test_every_alert_has_its_provocation() -> None:
    assert list(PROVOCATIONS) == [rule.name for rule in table().rules]


@pytest.mark.parametrize("rule", table().rules, ids=lambda rule: str(rule.name))
async def test_an_alert_is_delivered_and_resolved(
    rule: Rule, bus: Bus, mails: tuple[Mailbox, str], hook: Hook, eventually: Eventually
) -> None:
    box, mail_url = mails
    clock, members = MovedClock(), Members(bus)
    # The gateway itself measures; of a service that is awaited to be down no other replica may be up.
    await members.add("gateway", "itself")
    urls = targets(**{f"{rule.name}-mail": mail_url, f"{rule.name}-hook": hook.url(rule.name)})
    settings = AlertSettings(alert_tries=20, alert_retry_s=0.05)
    delivery = Delivery(bus, notifier(urls, SYSTEM_CLOCK, {}), settings, [rule.name], SYSTEM_CLOCK)
    await delivery.start()
    watch = watch_of(bus, clock, members, only(rule.name), member=f"watch-{rule.name}")
    trouble = PROVOCATIONS[rule.name](Platform(bus, members))
    wanted = SUBJECTS.get(rule.name, {})
    try:
        await anext(trouble)
        for status in ("firing", "resolved"):
            told = None
            for _ in range(LOOKS):
                clock.seconds += step_of(rule)
                found = [a for a in await watch.look() if a.status == status]
                told = next((a for a in found if wanted.items() <= dict(a.labels or {}).items()), None)
                if told:
                    break
                await trouble.asend(status == "firing")
            assert told, f"{rule.name} was not {status} in {LOOKS} looks"
            await eventually(lambda event=told: delivered(event, box, hook))
    finally:
        await trouble.aclose()
        await delivery.stop()
        await watch.stop()


async def delivered(alert: Any, box: Mailbox, hook: Hook) -> bool:
    """Whether both sinks have it, as it is."""
    bodies = [b for b in hook.bodies if b.get("id") == alert.id]
    mails = [(s, t) for s, t in box.mails if alert.summary in s and f"{alert.name} (" in t]
    word = "RESOLVED" if alert.status == "resolved" else alert.severity.upper()
    by_mail = any(subject.startswith(word) for subject, _ in mails)
    if not bodies or not by_mail:
        return False
    (body,) = bodies
    assert (body["name"], body["status"], body["severity"]) == (alert.name, alert.status, alert.severity)
    assert {k.removeprefix("label_"): v for k, v in body.items() if k.startswith("label_")} == alert.labels
    assert body["type"] == {"resolved": "success"}.get(
        alert.status, "failure" if alert.severity == "critical" else "warning"
    )
    return True
