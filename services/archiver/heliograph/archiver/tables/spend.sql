-- What reasons cost, by hour, provider and signal. Templates cost nothing and are left out.
CREATE TABLE IF NOT EXISTS spend
(
    hour DateTime('UTC'),
    provider LowCardinality(String),
    model LowCardinality(String),
    id String CODEC(ZSTD(1)),
    signal UInt64 CODEC(ZSTD(1)),
    symbol LowCardinality(String),
    cost Float64 CODEC(ZSTD(1)),
    tokens_in UInt32 CODEC(ZSTD(1)),
    tokens_out UInt32 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, provider, model, id);
CREATE MATERIALIZED VIEW IF NOT EXISTS spend_view TO spend AS
SELECT toStartOfHour(ts) AS hour, provider, model, id, reinterpretAsUInt64(unhex(signal)) AS signal, symbol,
    cost, tokens_in, tokens_out
FROM reasons
WHERE cost > 0 OR tokens_in > 0
