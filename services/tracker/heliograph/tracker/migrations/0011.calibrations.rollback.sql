DROP INDEX outcomes_created;
DROP INDEX outcomes_strategy_ts;
DROP TABLE calibrations;
