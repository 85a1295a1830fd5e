-- Signals by day, narrow. It replaces by id, as its source does: a redelivered signal is counted once.
CREATE TABLE IF NOT EXISTS signals_daily
(
    day Date,
    id String CODEC(ZSTD(1)),
    symbol LowCardinality(String),
    action LowCardinality(String),
    strategy LowCardinality(String),
    confidence Float32
)
ENGINE = ReplacingMergeTree
ORDER BY (day, id);
CREATE MATERIALIZED VIEW IF NOT EXISTS signals_daily_view TO signals_daily AS
SELECT toDate(ts) AS day, id, symbol, action, strategy, toFloat32(confidence) AS confidence FROM signals
