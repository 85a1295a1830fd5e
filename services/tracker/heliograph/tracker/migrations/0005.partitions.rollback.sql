DROP FUNCTION archive_signals_partition(text, bigint, bigint, integer);
DROP FUNCTION make_signals_partition(text, bigint, bigint);
DROP VIEW every_signal;

-- What was archived goes back into the working table.
DO $$
DECLARE
    partition record;
BEGIN
    FOR partition IN
        SELECT c.oid::regclass AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'signals_archived'::regclass
    LOOP
        EXECUTE format('ALTER TABLE signals_archived DETACH PARTITION %s', partition.name);
        EXECUTE format('DROP TRIGGER IF EXISTS append_only ON %s', partition.name);
        EXECUTE format('ALTER TABLE signals ATTACH PARTITION %s %s', partition.name, partition.bound);
    END LOOP;
END;
$$;

DROP TABLE signals_archived;
