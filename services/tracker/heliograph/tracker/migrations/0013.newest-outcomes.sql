-- transactional: false
-- depends: 0012.patterns

-- The newest outcomes of all symbols, a page of them at a time. What an attempt that died has left is no index.
DROP INDEX CONCURRENTLY IF EXISTS outcomes_ts;
CREATE INDEX CONCURRENTLY outcomes_ts ON outcomes (ts, id);
