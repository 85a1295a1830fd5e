"""Targets: each tried again and by itself, what none takes kept with the reason, secrets never shown."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from prometheus_client import REGISTRY

from heliograph.common.bus import Bus, Message
from heliograph.common.clock import SYSTEM_CLOCK
from heliograph.common.errors import ConfigError, UnavailableError
from heliograph.common.events import Alert, DeadLetter, encode
from heliograph.common.ids import derive_id
from heliograph.gateway.alerts.delivery import Delivery
from heliograph.gateway.alerts.notify import body, title, with_identity
from heliograph.gateway.alerts.settings import AlertSettings, AlertTarget
from heliograph.gateway.settings import GatewaySettings

from .alert_rig import START, Eventually, Hook, MovedClock, free_port, notifier, targets, web_sink

SECRET = "xoxb-not/shown#in any=text"
NAMES = ("ServiceDown", "AlertsUndelivered")
SETTINGS = AlertSettings(alert_tries=3, alert_retry_s=0.01)
Deliver = Callable[..., Any]


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    with web_sink() as sink:
        yield sink


@pytest.fixture(autouse=True)
def empty(hook: Hook) -> None:
    for kept in (hook.bodies, hook.paths, hook.statuses):
        kept.clear()


@pytest.fixture
async def deliver(bus: Bus) -> AsyncIterator[Deliver]:
    """Start a delivery to some targets."""
    started: list[Delivery] = []

    async def start(urls: dict[str, AlertTarget], **environment: str) -> Delivery:
        found = Delivery(bus, notifier(urls, SYSTEM_CLOCK, environment), SETTINGS, NAMES, SYSTEM_CLOCK)
        started.append(found)
        await found.start()
        return found

    yield start
    for one in started:
        await one.stop()


def alert(n: int = 0, **changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "id": derive_id("test", n, *map(str, changes.values())),
        "ts": (START + 60 * n) * 10**9,
        "v": 2,
        "name": "ServiceDown",
        "severity": "critical",
        "status": "firing",
        "summary": f"tracker: no replica answers {n}",
        "labels": {"service": "tracker"},
        "value": 0.0,
        "since": START * 10**9,
        "remedy": "Look at its log.",
    }
    return Alert(**(fields | changes))


async def publish(bus: Bus, *alerts: Alert) -> None:
    await bus.publish([Message(subject=f"alert.{a.name}", data=encode(a), msg_id=a.id) for a in alerts])


def counted(kind: str, target: str) -> float:
    return REGISTRY.get_sample_value(f"heliograph_alerts_{kind}_total", {"target": target}) or 0.0


async def letters(bus: Bus) -> list[DeadLetter]:
    last = await bus.last_seq("DEAD")
    found = [m async for m in bus.read("DEAD", "dead.gateway.alerts", after=0, upto=last)]
    return [msgspec.json.decode(m.data, type=DeadLetter) for m in found]


async def test_a_target_that_fails_is_tried_again(
    bus: Bus, deliver: Deliver, hook: Hook, eventually: Eventually
) -> None:
    hook.statuses += [500, 503]
    await deliver(targets(again=hook.url()))
    await publish(bus, alert())

    async def arrived() -> bool:
        return counted("delivered", "again") == 1

    await eventually(arrived)
    assert len(hook.paths) == 3
    assert [b["id"] for b in hook.bodies] == [alert().id]


async def test_one_that_takes_nothing_is_recorded_and_holds_up_no_other(
    bus: Bus, deliver: Deliver, hook: Hook, eventually: Eventually
) -> None:
    away = f"json://127.0.0.1:{free_port()}/{{HOOK_TOKEN}}"
    await deliver(targets(away=away, well=hook.url()), HOOK_TOKEN=SECRET)
    await publish(bus, alert(), alert(1, name="AlertsUndelivered"))

    async def both() -> bool:
        return len(hook.bodies) == 2 and len(await letters(bus)) == 2

    await eventually(both)
    letter, later = await letters(bus)
    assert letter.reason.startswith("alert not delivered in 3 tries: away: ")
    assert "not" in letter.reason
    assert SECRET not in letter.reason
    assert (letter.service, letter.subject) == ("gateway", "alert.ServiceDown")
    assert msgspec.json.decode(letter.payload, type=Alert) == alert()
    assert later.subject == "alert.AlertsUndelivered"
    # That the alert about alerts does not arrive is not counted: it would go on for ever.
    assert (counted("undelivered", "away"), counted("undelivered", "well")) == (1, 0)


async def test_what_came_while_nobody_delivered_comes_in_order(
    bus: Bus, deliver: Deliver, hook: Hook, eventually: Eventually
) -> None:
    urls = targets(late=hook.url())
    first = await deliver(urls)
    await publish(bus, alert(9))

    async def begun() -> bool:
        return len(hook.bodies) == 1

    await eventually(begun)
    await first.stop()
    await publish(bus, alert(), alert(1, status="resolved"), alert(2))
    await deliver(urls)

    def told() -> list[str]:
        """What came, each once: the first may come again, for it was stopped before it was acknowledged."""
        return list(dict.fromkeys(b["id"] for b in hook.bodies))

    async def arrived() -> bool:
        return len(told()) == 4

    await eventually(arrived)
    assert told() == [one.id for one in (alert(9), alert(), alert(1, status="resolved"), alert(2))]
    assert len({b["key"] for b in hook.bodies}) == 1


async def test_a_target_gets_its_severity_and_the_alerts_of_the_table(
    bus: Bus, deliver: Deliver, hook: Hook, eventually: Eventually
) -> None:
    await deliver({"pager": AlertTarget(url=hook.url(), severity="critical")})
    await bus.client.publish("alert.ServiceDown", b"not an alert")
    await publish(bus, alert(severity="warning"), alert(1, name="Foreign"), alert(2))

    async def arrived() -> bool:
        return bool(hook.bodies)

    await eventually(arrived)
    assert [b["id"] for b in hook.bodies] == [alert(2).id]


async def test_secrets_are_put_in_quoted_and_the_newest_is_used(hook: Hook) -> None:
    environment = {"TOKEN": SECRET, "WHOLE": hook.url("whole")}
    urls = targets(part=hook.url("{TOKEN}/end"), whole="{WHOLE}")
    sender = notifier(urls, MovedClock(), environment)
    await sender.send("part", alert())
    await sender.send("whole", alert())
    first, last = hook.paths[0].split("?")[0].removeprefix("/").rsplit("/", 1)
    assert (unquote(first), "/" in first, last) == (SECRET, False, "end")
    assert hook.paths[1].split("?")[0] == "/whole"
    environment["TOKEN"] = "rotated"
    await sender.send("part", alert())
    assert hook.paths[2].split("?")[0] == "/rotated/end"


@pytest.mark.parametrize("url", ["nowhere", "mailto://", "unknown://example.org", "https//typo"])
async def test_what_is_no_target_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(
        ConfigError, match=re.escape("alert_targets.ops.url: (not shown), expected a URL")
    ) as e:
        await notifier(targets(ops=url), SYSTEM_CLOCK, {}).check()
    assert "typo" not in str(e.value)


async def test_a_secret_that_is_missing_is_named() -> None:
    urls = targets(ops="slack://{SLACK_TOKEN}")
    with pytest.raises(ConfigError, match="names the secret SLACK_TOKEN, expected it in"):
        await notifier(urls, SYSTEM_CLOCK, {}).check()


def test_settings_never_show_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_ALERT_TARGETS", json.dumps({"ops": {"url": f"json://host/{SECRET}"}}))
    settings = GatewaySettings()
    assert settings.alert_targets["ops"].severity == "warning"
    assert SECRET not in repr(settings)
    assert SECRET not in repr(settings.alert_targets)


async def test_nothing_that_is_logged_or_raised_holds_a_secret(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    url = f"json://user:{{TOKEN}}@127.0.0.1:{free_port()}/{{TOKEN}}"
    sender = notifier(targets(ops=url), SYSTEM_CLOCK, {"TOKEN": "s3cr3t-token"})
    with pytest.raises(UnavailableError) as error:
        await sender.send("ops", alert())
    shown = "".join(capfd.readouterr()) + caplog.text + str(error.value) + repr(sender)
    assert "s3cr3t" not in shown


async def test_at_pagerduty_an_alert_is_one_incident(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = notifier(targets(pager="pagerduty://{KEY}@{ROUTE}"), SYSTEM_CLOCK, {"KEY": "k", "ROUTE": "r"})
    await sender.check()
    from apprise.plugins import pagerduty  # noqa: PLC0415 - only after the services were loaded in peace

    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{hook.port}/v2")
    for one in (alert(), alert(1, status="resolved"), alert(2, labels={"service": "fetcher"})):
        await sender.send("pager", one)
    raised, resolved, other = hook.bodies
    assert (raised["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert raised["dedup_key"] == resolved["dedup_key"] != other["dedup_key"]
    assert raised["payload"]["severity"] == "critical"


async def test_slack_gets_the_text(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#alerts"
    sender = notifier(targets(chat=url), SYSTEM_CLOCK, {"TOKEN": "TIiajkdnlazkcOXrIdevi7FQ"})
    await sender.check()
    from apprise.plugins.slack import NotifySlack  # noqa: PLC0415 - the same

    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{hook.port}")
    await sender.send("chat", alert())
    assert "CRITICAL: tracker: no replica answers" in json.dumps(hook.bodies[0])


def test_texts_say_what_since_when_and_what_to_do() -> None:
    raised, resolved = alert(), alert(1, status="resolved")
    assert title(raised) == "CRITICAL: tracker: no replica answers 0"
    assert body(raised).splitlines() == [
        "ServiceDown (critical), firing",
        "since 2027-01-15 08:00:00 UTC",
        "Look at its log.",
    ]
    assert title(resolved).startswith("RESOLVED: ")
    assert body(resolved).endswith("since 2027-01-15 08:00:00 UTC until 2027-01-15 08:01:00 UTC")
    assert with_identity("mailto://x", raised) == "mailto://x"
