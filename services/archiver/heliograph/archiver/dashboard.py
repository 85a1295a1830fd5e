"""What a dashboard asks, answered from the materialised views; a period ends with the data's newest day."""

from collections import Counter
from typing import Any

from heliograph.archiver import ended
from heliograph.archiver.clickhouse import ClickHouse
from heliograph.archiver.requests import Request

DAYS_DEFAULT = 30
DAYS_MOST = 36_500
ROWS_MOST = 10_000
ROWS_DEFAULT = {"spend_signals": 100}
"""Rows of a question without a `limit`, where it is not as many as may be."""

_DAILY = """
SELECT toString(day), countIf(action = 'BUY') AS buys, countIf(action = 'SELL') AS sells,
    round(avg(confidence), 2) AS mean
FROM signal_briefs FINAL WHERE day > (SELECT max(day) FROM signal_briefs) - {days:UInt32}
GROUP BY day ORDER BY day
"""
_PERFORMANCE = """
SELECT symbol, count() AS outcomes, countIf(result = 'win') AS wins, countIf(result = 'loss') AS losses,
    countIf(result = 'expired') AS expired, round(wins / outcomes, 4) AS win_rate,
    round(sum(pnl_net), 4) AS pnl_net, round(sum(r_multiple), 4) AS r
FROM outcome_days FINAL WHERE day > (SELECT max(day) FROM outcome_days) - {days:UInt32}
GROUP BY symbol ORDER BY pnl_net DESC, symbol LIMIT {limit:UInt32}
"""
_SPEND = """
SELECT toString(hour), provider, count() AS calls, round(sum(cost), 6) AS cost,
    sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out
FROM spend FINAL WHERE hour > (SELECT max(hour) FROM spend) - {days:UInt32} * 86400
GROUP BY hour, provider ORDER BY hour, provider
"""
_SPEND_DAYS = """
SELECT toString(toDate(hour)) AS day, provider, model, count() AS calls, round(sum(cost), 6) AS cost,
    sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out
FROM spend FINAL WHERE hour > (SELECT max(hour) FROM spend) - {days:UInt32} * 86400
GROUP BY day, provider, model ORDER BY day, provider, model
"""
_SPEND_SIGNALS = """
SELECT lower(hex(reinterpretAsFixedString(signal))), symbol, provider, model, cost, tokens_in, tokens_out
FROM spend FINAL WHERE hour > (SELECT max(hour) FROM spend) - {days:UInt32} * 86400
ORDER BY cost DESC, signal, id LIMIT {limit:UInt32}
"""
"""A signal has one reason, so the dearest reasons are the dearest signals."""

STATEMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "daily_signals": (_DAILY, ("day", "buys", "sells", "confidence")),
    "performance": (
        _PERFORMANCE,
        ("symbol", "outcomes", "wins", "losses", "expired", "win_rate", "pnl_net", "r"),
    ),
    "spend": (_SPEND, ("hour", "provider", "calls", "cost", "tokens_in", "tokens_out")),
    "spend_days": (_SPEND_DAYS, ("day", "provider", "model", "calls", "cost", "tokens_in", "tokens_out")),
    "spend_signals": (
        _SPEND_SIGNALS,
        ("signal", "symbol", "provider", "model", "cost", "tokens_in", "tokens_out"),
    ),
}
"""Each question that is one statement, and the names of its columns."""
QUESTIONS = (*STATEMENTS, "confidence_buckets", "reliability")


async def ask(db: ClickHouse, question: str, request: Request) -> list[dict[str, Any]]:
    """The rows of one of `QUESTIONS` over the last `days` (default 30) of the data.

    Raises:
        InputError: a field is wrong.
        UnavailableError: ClickHouse is away.
    """
    days = request.integer("days", DAYS_DEFAULT, least=1, most=DAYS_MOST)
    limit = request.integer("limit", ROWS_DEFAULT.get(question, ROWS_MOST), least=1, most=ROWS_MOST)
    if question in STATEMENTS:
        sql, names = STATEMENTS[question]
        found = await db.rows(sql, {"days": days, "limit": limit})
        return [dict(zip(names, row, strict=True)) for row in found]
    buckets, sources = await ended.over(db, days)
    return (_buckets(buckets) if question == "confidence_buckets" else _sources(sources))[:limit]


def _buckets(sums: Counter[tuple[int, int]]) -> list[dict[str, Any]]:
    """How often signals win, by ten points of confidence."""
    rows = []
    for bucket in sorted({bucket for bucket, _ in sums}):
        outcomes, wins, confidence = (sums[bucket, place] for place in range(3))
        rates = {"win_rate": round(wins / outcomes, 4), "confidence": round(confidence / outcomes, 2)}
        rows.append({"bucket": bucket, "outcomes": outcomes, "wins": wins, **rates})
    return rows


def _sources(sums: Counter[tuple[str, int]]) -> list[dict[str, Any]]:
    """How often each source was on the side that won, the best first; one that took no side is left out."""
    rows = []
    for source in {source for source, _ in sums}:
        votes, agreed, opposed, correct = (sums[source, place] for place in range(4))
        if agreed + opposed:
            hit_rate = round(correct / (agreed + opposed), 4)
            counts = {"votes": votes, "agreed": agreed, "opposed": opposed, "correct": correct}
            rows.append({"source": source, **counts, "hit_rate": hit_rate})
    return sorted(rows, key=lambda row: (-row["hit_rate"], row["source"]))
