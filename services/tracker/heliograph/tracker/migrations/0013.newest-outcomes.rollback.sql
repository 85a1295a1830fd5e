DROP INDEX IF EXISTS outcomes_ts;
