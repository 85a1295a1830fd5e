-- depends: 0004.refusals

-- Months that have left the working table are kept here, and read with it through `every_signal`.
CREATE TABLE signals_archived (LIKE signals INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (ts);
ALTER TABLE signals_archived ADD PRIMARY KEY (id, ts);
CREATE INDEX signals_archived_ts ON signals_archived (ts, id);
CREATE INDEX signals_archived_symbol_ts ON signals_archived (symbol, ts, id);
CREATE INDEX signals_archived_created ON signals_archived USING brin (created);

CREATE VIEW every_signal AS SELECT * FROM signals UNION ALL SELECT * FROM signals_archived;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON signals_archived FOR EACH ROW
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON signals_archived FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();

-- Make and attach a partition; whether it was missing. With the rights of the owner, so that the tracker needs
-- none to change tables. Attaching does not block writers, as CREATE … PARTITION OF would.
CREATE FUNCTION make_signals_partition(name text, first bigint, beyond bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF name !~ '^signals_y\d{4}m\d{2}$' THEN
        RAISE EXCEPTION 'name: %, expected signals_yYYYYmMM', name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(x'68656c696f02'::bigint);
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE signals INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    -- A trigger by row comes with the attachment, one by statement does not.
    EXECUTE format(
        'CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON %I FOR EACH STATEMENT
        EXECUTE FUNCTION refuse_change()', name
    );
    EXECUTE format('ALTER TABLE signals ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, first, beyond);
    RETURN true;
END;
$$;

-- Move one month out of the working table; false when it is not there, or holds a signal that is not finished.
-- The check is validated under a lock that lets writers pass, so that under the short exclusive lock of the second
-- step nothing is read: call it twice, in two transactions, with `step` 1 and 2.
CREATE FUNCTION archive_signals_partition(name text, first bigint, beyond bigint, step integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'68656c696f02'::bigint);
    IF NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = 'signals'::regclass AND inhrelid = to_regclass(name)
    ) OR EXISTS (SELECT FROM unfinished WHERE ts >= first AND ts < beyond) THEN
        RETURN false;
    END IF;
    IF step = 1 THEN
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS archived_range', name);
        EXECUTE format(
            'ALTER TABLE %I ADD CONSTRAINT archived_range CHECK (ts >= %s AND ts < %s) NOT VALID',
            name, first, beyond
        );
        EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT archived_range', name);
    ELSE
        SET LOCAL lock_timeout = '2s';
        EXECUTE format('ALTER TABLE signals DETACH PARTITION %I', name);
        -- The detached table keeps its copy of the parent's trigger, and gets the new parent's.
        EXECUTE format('DROP TRIGGER IF EXISTS append_only ON %I', name);
        EXECUTE format(
            'ALTER TABLE signals_archived ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, first, beyond
        );
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT archived_range', name);
    END IF;
    RETURN true;
END;
$$;

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION make_signals_partition SET search_path = %I, pg_temp', current_schema()
    );
    EXECUTE format(
        'ALTER FUNCTION archive_signals_partition SET search_path = %I, pg_temp', current_schema()
    );
END;
$$;
