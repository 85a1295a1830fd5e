-- Outcomes by day, narrow.
CREATE TABLE IF NOT EXISTS outcomes_daily
(
    day Date,
    id String CODEC(ZSTD(1)),
    signal String CODEC(ZSTD(1)),
    symbol LowCardinality(String),
    action LowCardinality(String),
    result LowCardinality(String),
    pnl_net Float64 CODEC(ZSTD(1)),
    r_multiple Float64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (day, id);
CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_daily_view TO outcomes_daily AS
SELECT toDate(ts) AS day, id, signal, symbol, action, result, pnl_net, r_multiple FROM outcomes
