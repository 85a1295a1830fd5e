DROP TRIGGER keep_all ON signals;
DROP TRIGGER keep_all ON reasons;
DROP TRIGGER keep_all ON outcomes;
CREATE TRIGGER keep_all BEFORE TRUNCATE ON signals FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON reasons FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON outcomes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DROP VIEW refusal_slots;
DROP TABLE refusals;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the record is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

ALTER FUNCTION refuse_change() RESET search_path;

DO $$
BEGIN
    FOR slot IN 0..15 LOOP
        EXECUTE format('DROP SEQUENCE refusal_what_%s, refusal_moment_%s, refusal_who_%s', slot, slot, slot);
    END LOOP;
END;
$$;

DROP SEQUENCE refusal_tickets;
