-- Votes of the dear sources, as they came. Those that a signal counted stand in the signal itself.
CREATE TABLE IF NOT EXISTS votes
(
    symbol LowCardinality(String),
    ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    id String CODEC(ZSTD(1)),
    cause String CODEC(ZSTD(1)),
    v UInt16 CODEC(ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    direction Int8 CODEC(ZSTD(1)),
    confidence Float64 CODEC(ZSTD(1)),
    observed DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    inserted DateTime DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX by_inserted inserted TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (symbol, source, ts, id)
