-- The votes that signals counted, one row a source, beside the side that the signal took.
CREATE TABLE IF NOT EXISTS signal_votes
(
    day Date,
    signal String CODEC(ZSTD(1)),
    source LowCardinality(String),
    agrees Int8,
    confidence Float32,
    weight Float32
)
ENGINE = ReplacingMergeTree
ORDER BY (day, signal, source);
CREATE MATERIALIZED VIEW IF NOT EXISTS signal_votes_view TO signal_votes AS
SELECT toDate(ts) AS day, id AS signal, vote.source AS source,
    toInt8(vote.direction * if(action = 'BUY', 1, -1)) AS agrees,
    toFloat32(vote.confidence) AS confidence, toFloat32(vote.weight) AS weight
FROM signals ARRAY JOIN votes AS vote
