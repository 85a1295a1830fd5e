-- Finished spans of all services. `signal` is the attribute heliograph.signal; attributes are JSON.
-- They are not archived: after thirty days they are gone. The events have no TTL; see `archive drop`.
CREATE TABLE IF NOT EXISTS spans
(
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_id String CODEC(ZSTD(1)),
    name LowCardinality(String),
    kind LowCardinality(String),
    service LowCardinality(String),
    start DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    end DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    status LowCardinality(String),
    signal String CODEC(ZSTD(1)),
    attributes String CODEC(ZSTD(1)),
    links Array(Tuple(trace_id String, span_id String)) CODEC(ZSTD(1)),
    inserted DateTime DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX by_signal signal TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(start)
ORDER BY (trace_id, span_id)
TTL inserted + INTERVAL 30 DAY
