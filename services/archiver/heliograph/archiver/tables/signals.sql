CREATE TABLE IF NOT EXISTS signals
(
    symbol LowCardinality(String),
    ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    id String CODEC(ZSTD(1)),
    cause String CODEC(ZSTD(1)),
    v UInt16 CODEC(ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    action LowCardinality(String),
    entry Float64 CODEC(Delta(8), ZSTD(1)),
    stop Float64 CODEC(Delta(8), ZSTD(1)),
    target Float64 CODEC(Delta(8), ZSTD(1)),
    confidence Float64 CODEC(ZSTD(1)),
    raw_confidence Float64 CODEC(ZSTD(1)),
    regime LowCardinality(String),
    view LowCardinality(String),
    votes Array(Tuple(
        source LowCardinality(String), direction Int8, confidence Float64, weight Float64, age_ns Int64
    )) CODEC(ZSTD(1)),
    sources Array(LowCardinality(String)) CODEC(ZSTD(1)),
    agreement Float64 CODEC(ZSTD(1)),
    expected_r Float64 CODEC(ZSTD(1)),
    strategy LowCardinality(String),
    interval LowCardinality(String),
    bar_ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    expires DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    input_seq UInt64 CODEC(Delta(8), ZSTD(1)),
    sha256 String CODEC(ZSTD(1)),
    prev_sha256 String CODEC(ZSTD(1)),
    calibration LowCardinality(String),
    inserted DateTime DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX by_id id TYPE bloom_filter GRANULARITY 1,
    INDEX by_inserted inserted TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (symbol, ts, id)
