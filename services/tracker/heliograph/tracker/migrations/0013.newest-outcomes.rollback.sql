DROP INDEX outcomes_ts;
