-- depends: 0003.ledger

-- A row that a refused transaction inserts is rolled back with it. What a sequence is set to is not: so a refusal
-- leaves its traces in sequences, from where the tracker takes them into the table `refusals`. Each refusal takes
-- a ticket, and three sequences of slot `ticket mod 16` hold what happened:
--   what: relation (oid) · 4 + operation (1 UPDATE, 2 DELETE, 3 TRUNCATE);  moment: microseconds since 1970
--   who:  (role (oid) · 2^22 + process) · 2^8 + ticket / 16 mod 2^8, set last, so that a slot is known to be whole
CREATE SEQUENCE refusal_tickets;

DO $$
BEGIN
    FOR slot IN 0..15 LOOP
        EXECUTE format('CREATE SEQUENCE refusal_what_%s MINVALUE 0', slot);
        EXECUTE format('CREATE SEQUENCE refusal_moment_%s MINVALUE 0', slot);
        EXECUTE format('CREATE SEQUENCE refusal_who_%s MINVALUE 0', slot);
    END LOOP;
END;
$$;

CREATE TABLE refusals (
    ticket bigint PRIMARY KEY,
    moment timestamptz,
    operation text,
    relation text,
    role text,
    process integer,
    created timestamptz NOT NULL DEFAULT now()
);

-- With the rights of its owner, since whoever is refused has none to the sequences.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ticket bigint := nextval('refusal_tickets');
    slot bigint := ticket % 16;
    operation bigint := CASE TG_OP WHEN 'UPDATE' THEN 1 WHEN 'DELETE' THEN 2 ELSE 3 END;
    role oid := (SELECT oid FROM pg_roles WHERE rolname = session_user);
BEGIN
    PERFORM setval(format('refusal_what_%s', slot), TG_RELID::bigint * 4 + operation);
    PERFORM setval(
        format('refusal_moment_%s', slot),
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    );
    PERFORM setval(
        format('refusal_who_%s', slot),
        (role::bigint * 4194304 + pg_backend_pid()) * 256 + ticket / 16 % 256
    );
    RAISE EXCEPTION '% on % is refused: the record is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

-- The newest refusals that a slot still holds whole.
CREATE VIEW refusal_slots AS
WITH newest AS (
    SELECT coalesce(pg_sequence_last_value('refusal_tickets'), 0) AS ticket
), slots AS (
    SELECT t.ticket, pg_sequence_last_value(format('refusal_what_%s', t.ticket % 16)::regclass) AS what,
        pg_sequence_last_value(format('refusal_moment_%s', t.ticket % 16)::regclass) AS moment,
        pg_sequence_last_value(format('refusal_who_%s', t.ticket % 16)::regclass) AS who
    FROM newest, generate_series(greatest(newest.ticket - 15, 1), newest.ticket) AS t (ticket)
)
SELECT ticket, to_timestamp(moment / 1000000.0) AS moment,
    (ARRAY['UPDATE', 'DELETE', 'TRUNCATE'])[what % 4] AS operation,
    (what / 4)::oid::regclass::text AS relation,
    coalesce((SELECT rolname FROM pg_roles WHERE oid = (who / 1073741824)::oid), '') AS role,
    (who / 256 % 4194304)::integer AS process
FROM slots WHERE who % 256 = ticket / 16 % 256;

-- It runs with its owner's rights, so no search path of the caller's may lead it elsewhere.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION refuse_change() SET search_path = %I, pg_temp', current_schema());
END;
$$;

-- By statement, so that one that finds no row is refused as well.
DROP TRIGGER keep_all ON signals;
DROP TRIGGER keep_all ON reasons;
DROP TRIGGER keep_all ON outcomes;
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON signals FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON reasons FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON outcomes FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON refusals FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON refusals FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
