-- Outcomes by day, narrow. `opened` is the day of the signal, where its row in the other tables is.
CREATE TABLE IF NOT EXISTS outcome_days
(
    day Date,
    signal UInt64,
    opened Date,
    symbol LowCardinality(String),
    action LowCardinality(String),
    result LowCardinality(String),
    pnl_net Float64 CODEC(ZSTD(1)),
    r_multiple Float64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, signal);
CREATE MATERIALIZED VIEW IF NOT EXISTS outcome_days_view TO outcome_days AS
SELECT toDate(ts) AS day, reinterpretAsUInt64(unhex(signal)) AS signal, toDate(opened) AS opened, symbol, action,
    result, pnl_net, r_multiple
FROM outcomes
