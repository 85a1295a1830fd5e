-- Bars of every interval. A bar that comes again replaces itself.
-- Fewer and wider merges: each row is written again a third as often, for a few parts more.
-- `split`: new shares for each old one from this bar on; 1 without a split.
CREATE TABLE IF NOT EXISTS bars
(
    symbol LowCardinality(String),
    interval LowCardinality(String),
    ts DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    open Float64 CODEC(Delta(8), ZSTD(1)),
    high Float64 CODEC(Delta(8), ZSTD(1)),
    low Float64 CODEC(Delta(8), ZSTD(1)),
    close Float64 CODEC(Delta(8), ZSTD(1)),
    volume Float64 CODEC(ZSTD(1)),
    split Float64 DEFAULT 1 CODEC(ZSTD(1)),
    source LowCardinality(String),
    received DateTime64(9, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    inserted DateTime DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX by_inserted inserted TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (symbol, interval, ts);
ALTER TABLE bars ADD COLUMN IF NOT EXISTS split Float64 DEFAULT 1 CODEC(ZSTD(1)) AFTER volume;
ALTER TABLE bars MODIFY SETTING merge_selector_base = 15
