DROP TABLE shard_leases;
DROP TABLE unfinished;
DROP TABLE outcomes;
DROP TABLE reasons;
DROP TABLE signals;
