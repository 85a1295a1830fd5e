DROP INDEX IF EXISTS unfinished_symbol_ts;
ALTER TABLE unfinished DROP COLUMN IF EXISTS symbol, DROP COLUMN IF EXISTS action;
