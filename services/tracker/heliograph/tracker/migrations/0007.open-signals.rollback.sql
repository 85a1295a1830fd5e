DROP INDEX unfinished_symbol_ts;
ALTER TABLE unfinished DROP COLUMN symbol, DROP COLUMN action;
