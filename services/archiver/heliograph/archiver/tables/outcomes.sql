CREATE TABLE IF NOT EXISTS outcomes
(
    symbol LowCardinality(String),
    ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    id String CODEC(ZSTD(1)),
    cause String CODEC(ZSTD(1)),
    v UInt16 CODEC(ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    signal String CODEC(ZSTD(1)),
    action LowCardinality(String),
    result LowCardinality(String),
    entry Float64 CODEC(Delta(8), ZSTD(1)),
    exit Float64 CODEC(Delta(8), ZSTD(1)),
    opened DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    exit_bar_ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    pnl Float64 CODEC(ZSTD(1)),
    pnl_net Float64 CODEC(ZSTD(1)),
    r_multiple Float64 CODEC(ZSTD(1)),
    bars UInt32 CODEC(ZSTD(1)),
    best Float64 CODEC(ZSTD(1)),
    worst Float64 CODEC(ZSTD(1)),
    input_seq UInt64 CODEC(Delta(8), ZSTD(1)),
    strategy LowCardinality(String),
    inserted DateTime DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX by_signal signal TYPE bloom_filter GRANULARITY 1,
    INDEX by_inserted inserted TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (symbol, ts, id)
