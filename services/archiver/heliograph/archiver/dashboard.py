"""What a dashboard asks, answered from the materialised views; a period ends with the data's newest day."""

from typing import Any

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
FROM signal_days FINAL WHERE day > (SELECT max(day) FROM signal_days) - {days:UInt32}
GROUP BY day ORDER BY day
"""
_PERFORMANCE = """
SELECT symbol, count() AS outcomes, countIf(result = 'win') AS wins, countIf(result = 'loss') AS losses,
    countIf(result = 'expired') AS expired, round(wins / outcomes, 4) AS win_rate,
    round(sum(pnl_net), 4) AS pnl_net, round(sum(r_multiple), 4) AS r
FROM outcome_days FINAL WHERE day > (SELECT max(day) FROM outcome_days) - {days:UInt32}
GROUP BY symbol ORDER BY pnl_net DESC, symbol LIMIT {limit:UInt32}
"""
_OPENED = """day >= (SELECT min(opened) FROM outcome_days
    WHERE day > (SELECT max(day) FROM outcome_days) - {days:UInt32})"""
"""No signal before these days has ended within the period."""
_CONFIDENCE = f"""
SELECT toUInt8(least(90, intDiv(toUInt32(confidence), 10) * 10)) AS bucket, count() AS outcomes,
    countIf(result = 'win') AS wins, round(wins / outcomes, 4) AS win_rate,
    round(avg(confidence), 2) AS mean
FROM (SELECT signal, result FROM outcome_days FINAL
    WHERE day > (SELECT max(day) FROM outcome_days) - {{days:UInt32}}) AS ended
INNER JOIN (SELECT signal, confidence FROM signal_days FINAL WHERE {_OPENED}) AS given
    ON ended.signal = given.signal
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - its parts are our own
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
SELECT lower(hex(reinterpretAsFixedString(signal))), symbol, calls, cost, tokens_in, tokens_out
FROM (SELECT signal, any(symbol) AS symbol, count() AS calls, round(sum(cost), 6) AS cost,
        sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out
    FROM spend FINAL WHERE hour > (SELECT max(hour) FROM spend) - {days:UInt32} * 86400
    GROUP BY signal ORDER BY cost DESC, signal LIMIT {limit:UInt32})
ORDER BY cost DESC, signal
"""
_RELIABILITY = f"""
SELECT source, count() AS votes, countIf(agrees = 1) AS agreed, countIf(agrees = -1) AS opposed,
    countIf(agrees = 1 AND result = 'win' OR agrees = -1 AND result = 'loss') AS correct,
    round(correct / (agreed + opposed), 4) AS hit_rate
FROM (SELECT signal, source, agrees FROM vote_days FINAL WHERE {_OPENED}) AS cast_votes
INNER JOIN (SELECT signal, result FROM outcome_days FINAL
    WHERE day > (SELECT max(day) FROM outcome_days) - {{days:UInt32}} AND result != 'expired') AS ended
    ON cast_votes.signal = ended.signal
GROUP BY source HAVING agreed + opposed > 0 ORDER BY hit_rate DESC, source
"""  # noqa: S608 - its parts are our own

QUESTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "daily_signals": (_DAILY, ("day", "buys", "sells", "confidence")),
    "performance": (
        _PERFORMANCE,
        ("symbol", "outcomes", "wins", "losses", "expired", "win_rate", "pnl_net", "r"),
    ),
    "confidence_buckets": (_CONFIDENCE, ("bucket", "outcomes", "wins", "win_rate", "confidence")),
    "spend": (_SPEND, ("hour", "provider", "calls", "cost", "tokens_in", "tokens_out")),
    "spend_days": (_SPEND_DAYS, ("day", "provider", "model", "calls", "cost", "tokens_in", "tokens_out")),
    "spend_signals": (_SPEND_SIGNALS, ("signal", "symbol", "calls", "cost", "tokens_in", "tokens_out")),
    "reliability": (_RELIABILITY, ("source", "votes", "agreed", "opposed", "correct", "hit_rate")),
}
"""Each question's statement and the names of its columns."""


async def ask(db: ClickHouse, question: str, request: Request) -> list[dict[str, Any]]:
    """The rows of one of `QUESTIONS` over the last `days` (default 30) of the data.

    Raises:
        InputError: a field is wrong.
        UnavailableError: ClickHouse is away.
    """
    sql, names = QUESTIONS[question]
    parameters = {
        "days": request.integer("days", DAYS_DEFAULT, least=1, most=DAYS_MOST),
        "limit": request.integer("limit", ROWS_DEFAULT.get(question, ROWS_MOST), least=1, most=ROWS_MOST),
    }
    return [dict(zip(names, row, strict=True)) for row in await db.rows(sql, parameters)]
