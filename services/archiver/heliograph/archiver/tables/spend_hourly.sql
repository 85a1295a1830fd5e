-- What reasons cost, by hour and provider. Templates cost nothing and are left out.
CREATE TABLE IF NOT EXISTS spend_hourly
(
    hour DateTime('UTC'),
    provider LowCardinality(String),
    model LowCardinality(String),
    id String CODEC(ZSTD(1)),
    cost Float64 CODEC(ZSTD(1)),
    tokens_in UInt32 CODEC(ZSTD(1)),
    tokens_out UInt32 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (hour, provider, model, id);
CREATE MATERIALIZED VIEW IF NOT EXISTS spend_hourly_view TO spend_hourly AS
SELECT toStartOfHour(ts) AS hour, provider, model, id, cost, tokens_in, tokens_out FROM reasons
WHERE cost > 0 OR tokens_in > 0
