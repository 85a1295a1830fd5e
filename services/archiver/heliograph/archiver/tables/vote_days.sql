-- The votes that signals counted, one row a source, beside the side that the signal took.
CREATE TABLE IF NOT EXISTS vote_days
(
    day Date,
    signal UInt64,
    source LowCardinality(String),
    agrees Int8,
    confidence Float32,
    weight Float32
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, signal, source);
CREATE MATERIALIZED VIEW IF NOT EXISTS vote_days_view TO vote_days AS
SELECT toDate(ts) AS day, reinterpretAsUInt64(unhex(id)) AS signal, vote.source AS source,
    toInt8(vote.direction * if(action = 'BUY', 1, -1)) AS agrees,
    toFloat32(vote.confidence) AS confidence, toFloat32(vote.weight) AS weight
FROM signals ARRAY JOIN votes AS vote
