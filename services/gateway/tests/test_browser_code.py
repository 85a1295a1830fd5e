"""No text of any page becomes code, whatever an answer holds: in a real browser, under the page's policy."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, expect
from tests.browsing import CHROMIUM, WAIT_MS, Window, check_whole, chromium
from tests.page_alone import HOME, Gateway, record

SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
DAY = 86_400 * 10**9

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
expect.set_options(timeout=WAIT_MS)

Make = Callable[..., Any]
Answer = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def hostile(found: dict[str, Any]) -> dict[str, Any]:
    """The same with every text turned into code."""
    return {k: (IMAGE if isinstance(v, str) and k not in {"id", "state"} else v) for k, v in found.items()}


def test_no_text_of_any_page_becomes_code(
    browser: Browser, make_signal: Make, make_reason: Make, make_outcome: Make
) -> None:
    gateway, window = Gateway(), Window(browser, HOME)
    gateway.attend(window.page)
    signal = make_signal(SCRIPT)
    ended = make_outcome(signal)
    one = record(signal, make_reason(signal, IMAGE), ended)
    one["votes"][0]["source"] = one["regime"] = one["strategy"] = IMAGE
    group: Answer = {
        "key": IMAGE,
        "signals": 1,
        "wins": 1,
        "losses": 0,
        "expired": 0,
        "open": 0,
        "overdue": 0,
    }
    group |= {"outcomes": 1, "win_rate": 1.0, "r_multiple": 2.0, "pnl_net": 1.0, "profit_factor": None}
    day: Answer = {"day": IMAGE, "ts": DAY, "cumulative_net_r": 2.0, "cumulative_pnl_net": 5.8}
    vote: Answer = {"votes": 1, "right": 1, "wrong": 0, "expired": 0, "neutral": 0}
    vote |= {"hit_rate": 1.0, "low": 0.2, "high": 1.0, "expectancy": 2.0}
    run: Answer = {
        "run": SCRIPT,
        "tickers": [IMAGE],
        "agents": [IMAGE],
        "done": 1,
        "total": 1,
        "state": "failed",
    }
    run |= {"started_ts": DAY, "ended_ts": DAY, "cost": 0.0, "calls": 0, "seconds": 1.0, "error": IMAGE}
    step: Answer = {"agent": IMAGE, "ticker": IMAGE, "status": "done", "detail": SCRIPT}
    said: Answer = {
        "agent": IMAGE,
        "signal": IMAGE,
        "confidence": 1.0,
        "reasoning": SCRIPT,
        "by": IMAGE,
        "note": IMAGE,
    }
    verdict: Answer = {"ticker": IMAGE, "direction": 1, "conviction": 0.5, "agents": 1, "action": IMAGE}
    verdict |= {"quantity": 1, "reason": SCRIPT, "asof": IMAGE, "predictions": [said]}
    alert: Answer = hostile(
        {"id": "a", "name": "", "severity": "", "state": "firing", "summary": "", "remedy": ""}
    )
    alert |= {"since_ts": DAY, "ended_ts": None, "value": 1.0, "labels": {"service": SCRIPT}}
    proof: Answer = {
        "ok": True,
        "checks": [{"name": IMAGE, "ok": True, "text": SCRIPT}],
        "next": IMAGE,
        "previous": SCRIPT,
    }
    proof |= {"block": {"record": IMAGE, "shard": 0, "number": 1, "link": SCRIPT}, "merkle": None}
    span: Answer = {"service": IMAGE, "name": SCRIPT, "start_ns": 0, "end_ns": 1, "status": "error"}
    span |= {"trace_id": IMAGE, "attributes": {IMAGE: SCRIPT}}
    symbol: Answer = {
        "symbol": SCRIPT,
        **dict.fromkeys(("signals", "open", "wins", "losses", "expired", "last_ts"), 1),
    }
    figures: Answer = {
        "count": 1,
        "brier": 0.1,
        "ece": 0.1,
        "log_loss": 0.1,
        "forecast": 50.0,
        "win_rate": 50.0,
        "bins": [],
    }
    budget: Answer = {
        "name": IMAGE,
        "limit": 1.0,
        "reserved": 0.0,
        "spent": 1.0,
        "left": 0.0,
        "resets_ts": DAY,
    }
    use: Answer = {
        "provider": IMAGE,
        "model": SCRIPT,
        "breaker": IMAGE,
        "purposes": {IMAGE: {"cost": 1.0}},
        "p95_s": None,
    }
    use |= dict.fromkeys(("calls", "cached", "tokens_in", "tokens_out", "cost", "failures"), 1)
    paid = dict.fromkeys(("calls", "tokens_in", "tokens_out", "cost"), 1)
    month: Answer = {"month": IMAGE, "total": 1.0, "cost_per_signal": None}
    month["days"] = [{"day": SCRIPT, "calls": 1, "signals": 1, "total": 1.0}]
    replica: Answer = {
        "service": IMAGE,
        "member": SCRIPT,
        "shards": [0],
        "ready": False,
        "problems": {IMAGE: SCRIPT},
    }
    stream: Answer = {"name": IMAGE, "messages": 1, "bytes": 1, "consumers": [{"service": SCRIPT, "lag": 1}]}
    gateway.answers |= {
        "/api/signals": {"signals": [one]},
        f"/api/signals/{signal.id}": one,
        "/api/bars": (400, {"error": SCRIPT}),
        "/api/trace": {"spans": [span]},
        f"/api/verify/{signal.id}": proof,
        "/api/symbols": {"symbols": [symbol]},
        "/api/performance": {
            "statistics": group,
            **{k: [group] for k in ("by_regime", "by_action", "by_bucket", "by_strategy")},
            "days": [day],
            "max_drawdown_r": 0.0,
        },
        "/api/outcomes": {"outcomes": [{**msgspec.to_builtins(ended), "confidence": 50.0, "grade": IMAGE}]},
        "/api/positions": {
            "total": 1,
            "ahead": 1,
            "pnl": 1.5,
            "r_multiple": 0.5,
            "missing_shards": [],
            "positions": [
                {
                    "signal": IMAGE,
                    "symbol": SCRIPT,
                    "action": IMAGE,
                    "opened": DAY,
                    "ts": DAY,
                    **dict.fromkeys(("entry", "stop", "target", "last", "pnl", "r_multiple", "bars"), 1.0),
                }
            ],
        },
        "/api/calibration": {
            "calibrations": [
                {
                    "strategy": IMAGE,
                    "version": SCRIPT,
                    "since": DAY,
                    "until": DAY,
                    "outcomes": 1,
                    "symbols": 1,
                    "raw": [],
                    "win": [],
                    "refused": 0,
                    "days": 90,
                    "published": {},
                    "trial": {"raw": figures, "candidate": figures},
                }
            ]
        },
        "/api/sources": {
            "sources": [{"source": SCRIPT, "newest": DAY, "all": vote, "regimes": {IMAGE: vote}}],
            "providers": [{"provider": IMAGE, "member": SCRIPT, "state": IMAGE, "done": True, "gaps": 0}],
        },
        "/api/spend": {
            "day": IMAGE,
            "total": 1.0,
            "alone": False,
            "signals": 1,
            "cost_per_signal": 1.0,
            "calls_per_signal": 1.0,
            "hit_rate": 0.5,
            "budgets": [budget],
            "providers": [use],
            "month": month,
        },
        "/api/history/spend/days": [{"day": SCRIPT, "provider": IMAGE, "model": SCRIPT, **paid}],
        "/api/history/spend/signals": [
            {"signal": IMAGE, "symbol": SCRIPT, "provider": IMAGE, "model": "", **paid}
        ],
        "/api/runs": {"runs": [run]},
        "/api/runs/r1": {**run, "progress": [step], "verdicts": [verdict]},
        "/api/alerts": {"alerts": [alert]},
        "/api/system": {"shards": 1, "replicas": [replica], "streams": [stream]},
        "/api/health": {
            "status": SCRIPT,
            "checks": [{"level": 1, "name": IMAGE, "state": IMAGE, "detail": SCRIPT}],
        },
    }
    views = {
        "": ".row .symbol",
        f"signal/{signal.id}": ".panel-verification .check",
        "symbols": "table.symbols",
        "outcomes": "table.outcomes, table.positions",
        "calibration": "table.scores",
        "sources": "table.providers",
        "spend": "table.dearest",
        "panel": "table.runs",
        "run/r1": ".agent",
        "alerts": ".alert",
        "system": "table.health",
    }
    for view, whole in views.items():
        page = window.open(view)
        expect(page.locator(whole).first).to_be_visible()
        shown = page.locator("main").inner_text()
        assert SCRIPT in shown or IMAGE in shown, view
        assert page.locator("main script, main img").count() == 0, view
    assert page.evaluate("document.title") == "System · Heliograph"
    check_whole([window], "status of 400")  # of the bars
