CREATE TABLE IF NOT EXISTS reasons
(
    symbol LowCardinality(String),
    ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    id String CODEC(ZSTD(1)),
    cause String CODEC(ZSTD(1)),
    v UInt16 CODEC(ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    signal String CODEC(ZSTD(1)),
    text String CODEC(ZSTD(3)),
    provider LowCardinality(String),
    model LowCardinality(String),
    tokens_in UInt32 CODEC(ZSTD(1)),
    tokens_out UInt32 CODEC(ZSTD(1)),
    cost Float64 CODEC(ZSTD(1)),
    latency_ns Int64 CODEC(ZSTD(1)),
    cached Bool CODEC(ZSTD(1)),
    inserted DateTime DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX by_signal signal TYPE bloom_filter GRANULARITY 1,
    INDEX by_inserted inserted TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (symbol, ts, id)
