"""Owners of results and operations that answer as the tracker, the archiver and the reasoning do."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from heliograph.common.bus import Bus
from heliograph.common.errors import InputError

DAY = 86_400 * 10**9
KNOWN = "0123456789abcdef"
RUN = "abc123"
GROUP = {
    "key": "all",
    "signals": 3,
    "open": 1,
    "overdue": 0,
    "outcomes": 2,
    "wins": 1,
    "losses": 1,
    "expired": 0,
    "win_rate": 0.5,
    "coverage": 1.0,
    "profit_factor": 2.0,
    "pnl_net": 2.3,
    "r_multiple": 0.5,
    "bars": 3.5,
}
ENDED = {
    "kind": "outcome",
    "id": "fedcba9876543210",
    "cause": KNOWN,
    "ts": 10 * DAY,
    "v": 1,
    "received": 0,
    "signal": KNOWN,
    "symbol": "AAPL",
    "action": "BUY",
    "result": "win",
    "entry": 100.0,
    "exit": 106.0,
    "opened": 6 * DAY,
    "exit_bar_ts": 9 * DAY,
    "pnl": 6.0,
    "pnl_net": 5.8,
    "r_multiple": 2.0,
    "bars": 4,
    "best": 6.4,
    "worst": -1.2,
    "input_seq": 12,
    "strategy": "default@2",
    "confidence": 81.25,
    "raw_confidence": 84.0,
    "regime": "BULL",
    "score": 81.67,
    "grade": "HIGH",
}
OPEN = {
    "signal": KNOWN,
    "symbol": "AAPL",
    "action": "BUY",
    "entry": 100.0,
    "stop": 97.0,
    "target": 106.0,
    "opened": 6 * DAY,
    "expires": 36 * DAY,
    "last": 101.5,
    "ts": 9 * DAY,
    "pnl": 1.5,
    "r_multiple": 0.5,
    "best": 2.0,
    "worst": -1.0,
    "bars": 3,
}
PAID = {"calls": 2, "cost": 0.002, "tokens_in": 300, "tokens_out": 90}
BIN = {"low": 80.0, "high": 90.0, "count": 40, "forecast": 84.0, "win_rate": 75.0}
EMPTY_BIN = {"low": 90.0, "high": 100.0, "count": 0, "forecast": None, "win_rate": None}
FIGURES = {
    "count": 40,
    "brier": 0.2,
    "ece": 0.09,
    "log_loss": 0.6,
    "forecast": 84.0,
    "win_rate": 75.0,
    "bins": [BIN, EMPTY_BIN],
    "buckets": [BIN],
}
RECORD = {
    "votes": 10,
    "right": 6,
    "wrong": 2,
    "expired": 1,
    "neutral": 1,
    "hit_rate": 0.75,
    "low": 0.41,
    "high": 0.93,
    "expectancy": 0.4,
}
PANEL_RUN = {
    "run": RUN,
    "tickers": ["AAPL"],
    "agents": ["technicals"],
    "done": 0,
    "total": 3,
    "started_ts": 20 * DAY,
    "state": "running",
}


def symbols(query: dict[str, Any]) -> Any:
    """`query.tracker.symbols`."""
    names = [name for name in ("AAPL", "BRK.B") if name > query.get("after", "")][: query["limit"]]
    fields = {k: GROUP[k] for k in ("signals", "open", "outcomes", "wins", "losses", "expired", "win_rate")}
    more = {"r_multiple": 0.5, "pnl_net": 2.3, "total_pnl_net": 4.6, "last_ts": 6 * DAY}
    return {"symbols": [{"symbol": name, **fields, **more} for name in names]}


def positions(query: dict[str, Any]) -> Any:
    """`query.tracker.open` of a replica that has every shard."""
    mine = query.get("symbol") in (None, OPEN["symbol"])
    sums = {"total": 2, "ahead": 1, "pnl": 0.5, "r_multiple": 0.2} if mine else {}
    shard = {"position": 4, "sums": sums, "newest": [OPEN] if mine else []}
    empty: dict[str, Any] = {"position": 4, "sums": {}, "newest": []}
    return {"shards": {"0": shard, **{str(n): empty for n in range(1, 64)}}}


def proof(query: dict[str, Any]) -> Any:
    """`query.tracker.proof`."""
    if query["id"] != KNOWN:
        raise InputError(f"id: {query['id']!r}, expected the id of a signal")
    return {
        "id": KNOWN,
        "ok": True,
        "sha256": "ab" * 32,
        "prev_sha256": "",
        "previous": None,
        "next": None,
        "checks": [
            {"name": "hash", "ok": True, "text": "well"},
            {"name": "day", "ok": None, "text": "later"},
        ],
        "block": {"record": "signals", "shards": 4, "shard": 1, "number": 1, "link": "cd" * 32},
        "merkle": {"day": "2026-01-01", "root": None, "leaves": 1, "index": 0, "leaf": "ef", "proof": []},
    }


def run(query: dict[str, Any]) -> Any:
    """`query.reasoning.run`."""
    if query["run"] != RUN:
        raise InputError(f"run: {query['run']!r}, expected the name of a run")
    step = {"kind": "agent_progress", "id": "1" * 16, "ts": DAY, "run": RUN, "agent": "technicals"}
    said = {"agent": "technicals", "signal": "bullish", "confidence": 0.6, "reasoning": "up", "by": "rules"}
    verdict = {"kind": "verdict", "id": "2" * 16, "ts": DAY, "run": RUN, "ticker": "AAPL", "direction": 1}
    return {
        **PANEL_RUN,
        "progress": [{**step, "ticker": "AAPL", "status": "done", "done": 1, "total": 3}],
        "verdicts": [{**verdict, "conviction": 0.6, "agents": 1, "predictions": [said]}],
    }


def start(query: dict[str, Any]) -> Any:
    """`query.reasoning.start`."""
    if "NONE" in query["tickers"]:
        raise InputError("tickers: 'NONE', expected a known company")
    return {**PANEL_RUN, "tickers": query["tickers"]}


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "tracker.outcomes": lambda query: {"outcomes": [ENDED][: query["limit"]]},
    "tracker.open": positions,
    "tracker.symbols": symbols,
    "tracker.statistics": lambda query: {"groups": [{**GROUP, "key": query.get("by", "all")}]},
    "tracker.performance": lambda _: {
        "days": [
            {
                "day": "1970-01-11",
                "ts": 10 * DAY,
                "closed": 2,
                "wins": 1,
                "losses": 1,
                "expired": 0,
                "net_r": 1.0,
                "pnl_net": 4.6,
                "cumulative_net_r": 1.0,
                "cumulative_pnl_net": 4.6,
            }
        ],
        "max_drawdown_r": 1.0,
    },
    "tracker.calibration": lambda _: {
        "calibrations": [
            {
                "strategy": "default@2",
                "version": "c1",
                "since": 0,
                "until": 9 * DAY,
                "outcomes": 600,
                "symbols": 2,
                "raw": [75.0, 90.0],
                "win": [50.0, 70.0],
                "trained": "2026-01-01T00:00:00Z",
                "trial": {"raw": FIGURES, "candidate": FIGURES, "current": FIGURES},
                "refused": 0,
                "days": 90,
                "published": {"raw": FIGURES, "calibrated": None},
            }
        ]
    },
    "tracker.sources": lambda _: {
        "sources": [{"source": "trend", "newest": 10 * DAY, "all": RECORD, "regimes": {"BULL": RECORD}}]
    },
    "tracker.proof": proof,
    "tracker.refusals": lambda _: {"total": 0, "newest": []},
    "archiver.closes": lambda query: {
        "closes": {name: {"close": 101.5, "ts": 9 * DAY} for name in query["symbols"][:1]}
    },
    "archiver.daily_signals": lambda _: [
        {"day": "1970-01-11", "buys": 3, "sells": 1, "confidence": 81.5},
    ],
    "archiver.performance": lambda query: [
        {
            **{k: GROUP[k] for k in ("outcomes", "wins", "losses", "expired", "win_rate")},
            "symbol": "AAPL",
            "pnl_net": 4.6,
            "r": 1.0,
        }
    ][: query["limit"]],
    "archiver.confidence_buckets": lambda _: [
        {"bucket": 80, "outcomes": 2, "wins": 1, "win_rate": 0.5, "confidence": 84.0}
    ],
    "archiver.reliability": lambda _: [
        {"source": "trend", "votes": 3, "agreed": 2, "opposed": 1, "correct": 2, "hit_rate": 0.6667}
    ],
    "archiver.spend": lambda _: [{"hour": "1970-01-11 00:00:00", "provider": "glm", **PAID}],
    "archiver.spend_days": lambda _: [{"day": "1970-01-11", "provider": "glm", "model": "m", **PAID}],
    "archiver.spend_signals": lambda query: [
        {
            "signal": KNOWN,
            "symbol": "AAPL",
            "provider": "glm",
            "model": "m",
            **{k: v for k, v in PAID.items() if k != "calls"},
        }
    ][: query["limit"]],
    "reasoning.spend": lambda _: {
        "day": "2026-01-01",
        "currency": "USD",
        "total": 0.5,
        "resets_ts": 30 * DAY,
        "alone": False,
        "budgets": [
            {"name": "glm", "limit": 5.0, "reserved": 0.0, "spent": 0.5, "left": 4.5, "resets_ts": 30 * DAY}
        ],
        "providers": [],
        "signals": 10,
        "cost_per_signal": 0.05,
        "calls_per_signal": 0.4,
        "hit_rate": None,
        "month": {"month": "2026-01", "total": 0.5, "signals": 10, "cost_per_signal": 0.05, "days": []},
    },
    "reasoning.start": start,
    "reasoning.runs": lambda query: {"runs": [PANEL_RUN][: query["limit"]]},
    "reasoning.run": run,
}


async def respond(bus: Bus, asked: list[tuple[str, dict[str, Any]]]) -> None:
    """Answer them all on the bus, and write down what was asked."""

    def answering(name: str) -> Callable[[bytes], Awaitable[bytes]]:
        async def answer(data: bytes) -> bytes:
            query = json.loads(data)
            asked.append((name, query))
            return json.dumps(ANSWERS[name](query)).encode()

        return answer

    for name in ANSWERS:
        await bus.respond(f"query.{name}", answering(name), queue=name.partition(".")[0])
    await bus.settled()
