-- transactional: false
-- depends: 0006.input-gaps

-- The open signals of a symbol, found without the closed ones.
ALTER TABLE unfinished ADD COLUMN IF NOT EXISTS symbol text, ADD COLUMN IF NOT EXISTS action text;

UPDATE unfinished u SET symbol = s.symbol, action = s.action FROM signals s
WHERE s.id = u.signal AND s.ts = u.ts AND u.symbol IS NULL;

-- What an attempt that died has left is no index.
DROP INDEX CONCURRENTLY IF EXISTS unfinished_symbol_ts;
CREATE INDEX CONCURRENTLY unfinished_symbol_ts ON unfinished (symbol, ts, action);
