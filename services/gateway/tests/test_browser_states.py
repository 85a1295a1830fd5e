"""The page by itself in a real browser: what it says while data are missing, late, refused or too many."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browsing import CHROMIUM, PHONE, WAIT_MS, Window, check_whole, chromium
from tests.page_alone import HOME, Gateway, record

from heliograph.common.events import identity_sha256

DAY = 86_400 * 10**9
NOBODY = "query.tracker.signals: no responders"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
expect.set_options(timeout=WAIT_MS)

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def window(browser: Browser, gateway: Gateway) -> Iterator[Window]:
    """A page of the gateway; at the end it may have reported no error."""
    opened = Window(browser, HOME)
    gateway.attend(opened.page)
    yield opened
    check_whole([opened], "Failed to load resource")  # what a test lets be refused is told by the browser too


def live(page: Page) -> None:
    expect(page.locator("#link-text")).to_have_text("Live")


def test_an_empty_record_says_what_it_waits_for(window: Window) -> None:
    page = window.open()
    live(page)
    expect(page.locator(".notice")).to_contain_text("Waiting for the first signal")


@pytest.mark.parametrize(
    ("view", "path", "body", "told"),
    [
        ("symbols", "/api/symbols", {"symbols": []}, "No symbol has given a signal yet"),
        ("calibration", "/api/calibration", {"calibrations": []}, "No calibration is in use yet"),
        ("sources", "/api/sources", {"sources": [], "providers": []}, "No source has been judged yet"),
        ("panel", "/api/runs", {"runs": []}, "No run in the last seven days"),
        ("alerts", "/api/alerts", {"alerts": []}, "Nothing fires"),
    ],
)
def test_a_page_tells_empty_from_away_and_comes_back_by_itself(
    window: Window, gateway: Gateway, view: str, path: str, body: Any, told: str
) -> None:
    gateway.answers[path] = (503, {"error": NOBODY})
    page = window.open(view)
    notice = page.locator("main .notice[role=alert]")
    expect(notice).to_contain_text("The owner of these data does not answer now")
    expect(notice).to_contain_text(NOBODY)
    gateway.answers[path] = body
    notice.get_by_role("button", name="Try again").click()
    expect(page.locator("main")).to_contain_text(told)
    expect(notice).to_have_count(0)


OPEN: dict[str, Any] = {
    "symbol": "AAPL",
    "action": "BUY",
    "entry": 100.0,
    "stop": 97.0,
    "target": 106.0,
    "last": 98.5,
    "opened": DAY,
    "ts": 4 * DAY,
    "pnl": -1.5,
    "r_multiple": -0.5,
    "best": 0.2,
    "worst": -2.0,
    "bars": 3,
}


def test_open_signals_show_how_they_stand(window: Window, gateway: Gateway, make_signal: Make) -> None:
    """Also before any has ended, while their owners are away, and on a signal's own page."""
    signal = make_signal()
    nothing: dict[str, Any] = {"statistics": None, "days": [], "max_drawdown_r": 0.0}
    gateway.answers["/api/performance"] = nothing
    gateway.answers["/api/outcomes"] = {"outcomes": []}
    sums = {"total": 3, "ahead": 1, "pnl": -3.0, "r_multiple": -1.25, "missing_shards": [2]}
    gateway.answers["/api/positions"] = {**sums, "positions": [{**OPEN, "signal": signal.id}]}
    gateway.answers[f"/api/signals/{signal.id}"] = record(signal)
    window.page.clock.install()
    page = window.open("outcomes")
    expect(page.locator("table.positions tbody tr")).to_have_count(1)
    expect(page.locator("table.positions [data-label='R so far']")).to_have_text("−0.50")
    expect(page.locator("main")).to_contain_text("Without shards 2")
    expect(page.locator("main")).to_contain_text("The newest 1 of 3.")
    expect(page.locator("main")).to_contain_text("No signal has ended yet")
    gateway.answers["/api/positions"] = (503, {"error": NOBODY})
    page.clock.fast_forward(10_000)
    expect(page.locator("main")).to_contain_text("How open signals stand is not known now")
    gateway.answers["/api/positions"] = {**sums, "positions": [{**OPEN, "signal": signal.id}]}
    page.clock.fast_forward(10_000)
    page.get_by_role("link", name="AAPL").click()
    expect(page.locator(".panel-outcome")).to_contain_text("Still open")
    expect(page.locator(".panel-outcome")).to_contain_text("−1.50 %")
    expect(page.locator(".panel-outcome")).to_contain_text("3 bars, until 5 Jan 1970")


def test_what_is_shown_stays_and_is_called_old_when_its_owner_goes(window: Window, gateway: Gateway) -> None:
    run: dict[str, Any] = {
        "run": "r1",
        "tickers": ["SNOW"],
        "agents": [],
        "done": 1,
        "total": 17,
        "state": "running",
    }
    times = {"started_ts": DAY, "ended_ts": None, "cost": 0.0, "calls": 0, "seconds": None, "error": ""}
    gateway.answers["/api/runs"] = {"runs": [{**run, **times}]}
    window.page.clock.install()
    page = window.open("panel")
    expect(page.locator("table.runs")).to_contain_text("SNOW")
    gateway.answers["/api/runs"] = (503, {"error": NOBODY})
    page.clock.fast_forward(5000)
    expect(page.locator(".stale")).to_contain_text(f"Not up to date: {NOBODY}")
    expect(page.locator("table.runs")).to_contain_text("SNOW")
    gateway.answers["/api/runs"] = {"runs": [{**run, **times, "done": 2}]}
    page.clock.fast_forward(5000)
    expect(page.locator(".stale")).to_have_count(0)
    expect(page.locator("table.runs")).to_contain_text("2 / 17")


def test_a_token_is_asked_for_and_sent_and_stands_in_no_address(window: Window, gateway: Gateway) -> None:
    def guarded(_: dict[str, str], request: Any) -> Any:
        if request.headers.get("authorization") == "Bearer s3cret":
            return {"sources": [], "providers": []}
        return 401, {"error": "authorization: missing, expected Bearer and a token"}

    gateway.answers["/api/sources"] = guarded
    page = window.open("sources")
    notice = page.locator("main .notice[role=alert]")
    expect(notice).to_contain_text("A token is needed")
    for token in ("wrong", "s3cret"):
        page.get_by_label("Token").fill(token)
        page.get_by_label("Token").press("Enter")
        if token == "wrong":
            expect(notice).to_contain_text("The token of this tab was refused")
    expect(page.locator("main")).to_contain_text("No source has been judged yet")
    page.reload()
    expect(page.locator("main")).to_contain_text("No source has been judged yet")
    assert page.evaluate("import('/static/js/token.js').then((token) => token.protocols())") == [
        "heliograph.live",
        "bearer.czNjcmV0",
    ]
    assert not any("s3cret" in str(asked) for asked in (page.url, gateway.asked, gateway.sockets[-1].url))


def test_bars_that_are_archived_later_are_shown_then(
    window: Window, gateway: Gateway, make_signal: Make
) -> None:
    window.page.clock.install()
    signal = make_signal()
    none: dict[str, Any] = {k: [] for k in ("ts", "open", "high", "low", "close", "volume")}
    ts = [signal.bar_ts - n * DAY for n in range(50, -1, -1)]
    bars = {"ts": ts, **{k: [100.0] * 51 for k in ("open", "high", "low", "close", "volume")}}
    given = [{"interval": "", **none}]
    gateway.answers[f"/api/signals/{signal.id}"] = record(signal)
    gateway.answers["/api/bars"] = lambda *_: given.pop() if given else {"interval": "1d", **bars}
    gateway.answers["/api/trace"] = {"spans": []}
    gateway.answers[f"/api/verify/{signal.id}"] = (503, {"error": NOBODY})
    page = window.open(f"signal/{signal.id}")
    expect(page.locator(".chart")).to_contain_text("No bars are archived here yet")
    expect(page.locator(".panel-trace")).to_contain_text("No trace is held yet")
    expect(page.locator(".panel-verification")).to_contain_text(NOBODY)
    page.clock.fast_forward(3000)
    expect(page.locator(".chart canvas").first).to_be_visible()


def test_a_signal_that_is_not_there_is_said_not_to_be(window: Window, gateway: Gateway) -> None:
    gateway.answers["/api/signals/0123456789abcdef"] = (404, {"error": "id: '0123456789abcdef', unknown"})
    page = window.open("signal/0123456789abcdef")
    expect(page.locator("main [role=alert]")).to_contain_text("There is no such thing")


def test_a_long_wait_in_a_trace_is_cut_and_the_rest_keeps_its_measure(window: Window) -> None:
    page = window.open()
    scale = """async (spans) => {
        const { timeScale } = await import("/static/js/waterfall.js");
        const { place, cuts } = timeScale(spans.map(([start_ns, end_ns]) => ({ start_ns, end_ns })));
        const places = spans.map((times) => times.map(place));
        return { cuts: cuts.map((cut) => cut.length), places };
    }"""
    weeks = 30 * DAY
    found = page.evaluate(scale, [[0, 100], [40, 60], [100, 200], [weeks, weeks + 200]])
    assert found["cuts"] == [weeks - 200]
    whole = 200 + 20 + 200  # the work and one cut of a twentieth of it
    expected = [(0, 100), (40, 60), (100, 200), (220, 420)]
    for (start, end), (left, right) in zip(expected, found["places"], strict=True):
        assert left == pytest.approx(start / whole)
        assert right == pytest.approx(end / whole)
    assert page.evaluate(scale, [[5, 5]])["places"] == [[0, 0]]


def test_a_drawdown_is_the_distance_to_the_highest_sum_so_far(window: Window) -> None:
    page = window.open()
    asked = "import('/static/js/equity.js').then(({ drawdowns }) => drawdowns([-1, 2, 1, 3, 0]))"
    assert page.evaluate(asked) == [-1, 0, -1, 0, -3]


def test_what_is_shown_as_zero_is_neither_good_nor_bad(window: Window) -> None:
    page = window.open()
    asked = """(values) => import('/static/js/figures.js').then(({ gain }) =>
        values.map((value) => gain(value, 2, ' R')).map((each) => [each.className, each.textContent]))"""
    assert page.evaluate(asked, [0, -0.004, 0.004, -0.006, 1.5]) == [
        *[["", "+0.00 R"]] * 3,
        ["down", "−0.01 R"],
        ["up", "+1.50 R"],
    ]


@pytest.mark.parametrize(
    "changes",
    [{}, {"entry": 100.25}, {"symbol": 'Ü"\\/😀'}, {"ts": 1_600_000_020 * 10**9}, {"confidence": 0.05}],
)
def test_the_browser_computes_the_hash_of_the_record(
    window: Window, make_signal: Make, changes: dict[str, Any]
) -> None:
    signal = make_signal()
    names = ("id", "symbol", "action", "entry", "target", "stop", "confidence", "strategy", "ts")
    fields = {**{name: getattr(signal, name) for name in names}, **changes}
    page = window.open()
    asked = "(f) => import('/static/js/verification.js').then(({ identity }) => identity(f))"
    assert page.evaluate(asked, fields) == identity_sha256(**fields)


def test_what_is_published_shows_as_it_comes(
    window: Window, gateway: Gateway, make_signal: Make, make_reason: Make, make_outcome: Make
) -> None:
    page = window.open()
    live(page)
    signal = make_signal("NVDA")
    gateway.answers[f"/api/signals/{signal.id}"] = record(
        signal, make_reason(signal, "The reason came first.")
    )
    gateway.publish(("reason", make_reason(signal, "The reason came first.")), ("signal", signal))
    row = page.locator(".row")
    expect(row).to_contain_text("NVDA")
    expect(row).to_contain_text("The reason came first.")
    expect(row).to_contain_text("Open")
    expect(page.locator("#announcer")).to_contain_text("BUY NVDA at 100, confidence 61")
    row.click()
    expect(page.locator(".panel-outcome")).to_contain_text("Still open")
    gateway.publish(("outcome", make_outcome(signal)))
    expect(page.locator(".panel-outcome")).to_contain_text("106.00")
    expect(page.locator(".signal-head")).to_contain_text("Won")


def test_an_answer_that_is_older_than_the_live_outcome_does_not_undo_it(
    window: Window, gateway: Gateway, make_signal: Make, make_outcome: Make
) -> None:
    page = window.open()
    live(page)
    signal = make_signal("NVDA")
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route(f"**/api/signals/{signal.id}", hold)
    gateway.publish(("signal", signal))
    with page.expect_request(f"**/api/signals/{signal.id}"):
        page.locator(".row").click()
    expect(page.locator(".panel-outcome")).to_contain_text("Still open")
    gateway.publish(("outcome", make_outcome(signal)))
    expect(page.locator(".signal-head")).to_contain_text("Won")
    waiting[0].fulfill(json=record(signal))
    expect(page.locator(".chart")).not_to_contain_text("Reading the bars")  # asked for behind the answer
    expect(page.locator(".signal-head")).to_contain_text("Won")


def test_a_burst_leaves_the_page_whole(
    window: Window, gateway: Gateway, make_signal: Make, make_reason: Make
) -> None:
    page = window.open()
    live(page)
    signals = [make_signal("FAST", day=n) for n in range(3000)]
    gateway.answers["/api/signals"] = {
        "signals": [record(s, make_reason(s)) for s in reversed(signals[-100:])]
    }
    for start in range(0, len(signals), 100):
        part = signals[start : start + 100]
        gateway.publish(*(("signal", s) for s in part), *(("reason", make_reason(s)) for s in part))
    gateway.publish(("skipped", {"count": 7}))
    expect(page.locator(".row")).to_have_count(100)
    expect(page.locator(".row").first).to_have_attribute("data-id", signals[-1].id)
    expect(page.locator(".row .reason", has_text="being written")).to_have_count(0)


def test_a_paused_list_stays_and_says_how_many_came(
    window: Window, gateway: Gateway, make_signal: Make
) -> None:
    gateway.answers["/api/signals"] = {"signals": [record(make_signal("OLD"))]}
    page = window.open()
    expect(page.locator(".row")).to_have_count(1)
    live(page)
    page.get_by_role("button", name="Pause").click()
    gateway.publish(("signal", make_signal("NEW", day=9)))
    resume = page.get_by_role("button", name="Resume (1 new)")
    expect(resume).to_be_visible()
    expect(page.locator(".row")).to_have_count(1)
    resume.click()
    expect(page.locator(".row .symbol").first).to_have_text("NEW")


def test_the_page_comes_back_by_itself(window: Window, gateway: Gateway, make_signal: Make) -> None:
    page = window.open()
    live(page)
    gateway.answers["/api/signals"] = {"signals": [record(make_signal("MISSED"))]}
    gateway.sockets[-1].close()
    expect(page.locator(".row")).to_contain_text("MISSED")
    live(page)
    assert len(gateway.sockets) == 2


def test_the_form_of_a_run_sends_what_was_typed_and_shows_a_refusal(window: Window, gateway: Gateway) -> None:
    sent: list[Any] = []

    def start(_: dict[str, str], request: Any) -> Any:
        sent.append(request.post_data_json)
        if len(sent) == 1:
            return 400, {"error": "agents: 'nobody', expected one of technicals"}
        return 202, {"run": "r1"}

    gateway.answers |= {"/api/runs": {"runs": []}, "/api/run": start}
    page = window.open("panel")
    page.get_by_label("Tickers").fill("snow, aapl")
    page.get_by_label("Agents").fill("nobody")
    page.get_by_label("Day of the analysis").fill("2025-05-30")
    page.get_by_role("button", name="Ask the panel").click()
    expect(page.locator(".run-form [role=alert]")).to_have_text(
        "agents: 'nobody', expected one of technicals"
    )
    assert sent == [{"tickers": ["SNOW", "AAPL"], "agents": ["nobody"], "to": "2025-05-30"}]
    page.get_by_label("Agents").fill("")
    page.get_by_role("button", name="Ask the panel").click()
    expect(page).to_have_url(f"{HOME}/#/run/r1")


def test_agents_and_verdicts_show_as_they_come(window: Window, gateway: Gateway) -> None:
    run: dict[str, Any] = {
        "run": "r1",
        "tickers": ["SNOW"],
        "agents": [],
        "done": 0,
        "total": 2,
        "state": "running",
    }
    run |= {"started_ts": DAY, "ended_ts": None, "cost": 0.0, "calls": 0, "seconds": None, "error": ""}
    gateway.answers["/api/runs/r1"] = {**run, "progress": [], "verdicts": []}
    page = window.open("run/r1")
    expect(page.locator(".page-note")).to_have_text("SNOW: 0 of 2 agents have ended")
    assert "run=r1" in gateway.sockets[-1].url
    step = {"run": "r1", "agent": "ben_graham", "ticker": "SNOW", "detail": "neutral"}
    gateway.publish(
        ("agent_progress", {**step, "status": "done"}), ("agent_progress", {**step, "status": "started"})
    )
    expect(page.locator(".page-note")).to_have_text("SNOW: 1 of 2 agents have ended")
    expect(page.locator(".agent-done")).to_contain_text("ben graham")
    verdict = {
        "ticker": "SNOW",
        "direction": -1,
        "conviction": 0.4,
        "agents": 1,
        "action": "short",
        "quantity": 7,
    }
    gateway.answers["/api/runs/r1"] = {
        **run,
        "state": "done",
        "done": 2,
        "progress": [],
        "verdicts": [verdict],
    }
    gateway.publish(("verdict", verdict))
    expect(page.locator(".verdict")).to_contain_text("short 7")
    expect(page.locator(".verdict")).to_contain_text("against, conviction 40 %")
    expect(page.locator(".state-ok")).to_have_text("done")


def test_an_alert_is_counted_in_the_menu_as_it_comes(window: Window, gateway: Gateway) -> None:
    page = window.open()
    live(page)
    expect(page.locator("#firing")).to_be_hidden()
    alert = {"id": "a", "name": "spend", "severity": "critical", "state": "firing", "summary": "over $40"}
    gateway.answers["/api/alerts"] = {"alerts": [{**alert, "since_ts": DAY, "ended_ts": None}]}
    gateway.publish(("alert", alert))
    expect(page.locator("#firing")).to_have_text("1")


def test_an_alert_says_what_to_do_while_it_fires(window: Window, gateway: Gateway) -> None:
    alert = {
        "id": "a",
        "name": "SlowWrites",
        "severity": "warning",
        "summary": "writes take 10 s",
        "value": 10.0,
    }
    told = {**alert, "labels": {"store": "clickhouse"}, "remedy": "Look at its disk.", "since_ts": DAY}
    firing, over = (
        {**told, "state": "firing", "ended_ts": None},
        {**told, "state": "resolved", "ended_ts": 2 * DAY},
    )
    gateway.answers["/api/alerts"] = {"alerts": [firing, over]}
    page = window.open("alerts")
    expect(page.locator(".alert-warning")).to_contain_text("What to do: Look at its disk.")
    expect(page.locator(".alert-resolved")).to_contain_text("writes take 10 s")
    expect(page.locator(".alert-remedy")).to_have_count(1)


def test_a_confidence_is_called_a_probability_only_when_outcomes_have_taught_it(
    window: Window, gateway: Gateway, make_signal: Make
) -> None:
    raw, learned = make_signal("RAW"), make_signal("LEARNED", calibration="0123456789abcdef")
    for signal in (raw, learned):
        gateway.answers[f"/api/signals/{signal.id}"] = record(signal)
    gateway.answers["/api/signals"] = {"signals": [record(raw), record(learned)]}
    page = window.open()
    for signal, kind in ((raw, "raw"), (learned, "%")):
        expect(page.locator(f'.row[data-id="{signal.id}"] .chance-kind')).to_have_text(f" {kind}")
    page = window.open(f"signal/{raw.id}")
    expect(page.locator(".panel-plan")).to_contain_text("not the probability of a win")
    expect(page.locator(".panel-plan")).not_to_contain_text("win probability")
    page = window.open(f"signal/{learned.id}")
    expect(page.locator(".panel-plan")).to_contain_text("win probability")
    expect(page.locator(".panel-plan")).not_to_contain_text("not the probability of a win")


def test_a_table_is_sorted_by_its_heads_and_keeps_the_focus(window: Window, gateway: Gateway) -> None:
    def symbol(name: str, signals: int, rate: float | None) -> dict[str, Any]:
        rest = dict.fromkeys(("open", "wins", "losses", "expired", "last_ts"), 1)
        return {"symbol": name, "signals": signals, "win_rate": rate, "last_close": None, **rest}

    gateway.answers["/api/symbols"] = {
        "symbols": [symbol("A", 9, None), symbol("B", 30, 0.5), symbol("C", 4, 0.6)]
    }
    window.page.clock.install()
    page = window.open("symbols")
    names = page.locator("table.symbols tbody th")
    expect(names).to_have_text(["A", "B", "C"])
    head = page.get_by_role("button", name="Signals")
    head.click()
    expect(names).to_have_text(["B", "A", "C"])
    expect(page.locator("th", has=head)).to_have_attribute("aria-sort", "descending")
    head.press("Enter")
    expect(names).to_have_text(["C", "A", "B"])
    page.get_by_role("button", name="Win rate").click()
    expect(names).to_have_text(["C", "B", "A"])  # what is not known comes last
    gateway.answers["/api/symbols"] = {"symbols": [symbol("D", 1, 0.1), symbol("C", 4, 0.6)]}
    page.clock.fast_forward(6000)
    expect(names).to_have_text(["C", "D"])
    expect(page.get_by_role("button", name="Win rate")).to_be_focused()


def test_the_menu_of_a_phone_opens_by_key_and_closes_by_escape(browser: Browser, gateway: Gateway) -> None:
    window = Window(browser, HOME, PHONE)
    gateway.attend(window.page)
    gateway.answers["/api/calibration"] = {"calibrations": []}
    page = window.open()
    menu, link = page.locator("#menu"), page.get_by_role("link", name="Calibration")
    expect(link).to_be_hidden()
    menu.press("Enter")
    expect(link).to_be_visible()
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()
    expect(menu).to_be_focused()
    menu.press("Enter")
    link.press("Enter")
    expect(page.locator("h1")).to_have_text("Calibration")
    expect(page.locator("h1")).to_be_focused()
    expect(link).to_be_hidden()
    expect(menu).to_contain_text("Calibration")
    assert window.fits()
    check_whole([window])
