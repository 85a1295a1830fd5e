-- Run once, when the database is made: the roles beside its owner. What they may do with the tables is given by the
-- tracker when it has brought them up to date. `heliograph_reader` gets its password from you, by \password.
\getenv password TRACKER_POSTGRES_PASSWORD
CREATE ROLE heliograph_tracker LOGIN PASSWORD :'password';
CREATE ROLE heliograph_reader LOGIN;
