-- depends: 0007.open-signals

-- After a crash a sequence that `nextval` was drawn from goes on up to 32 further, and tickets that nobody had drawn
-- would look like refusals. What `setval` sets is kept exactly; so the ticket is counted by it, under a lock of the
-- session that is given back before the refusal is raised: a transaction may stay open long after it has failed.
ALTER SEQUENCE refusal_tickets MINVALUE 0;

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    counting constant bigint := x'68656c696f03'::bigint;
    operation constant bigint := CASE TG_OP WHEN 'UPDATE' THEN 1 WHEN 'DELETE' THEN 2 ELSE 3 END;
    role constant oid := (SELECT oid FROM pg_roles WHERE rolname = session_user);
    ticket bigint;
    slot bigint;
BEGIN
    PERFORM pg_advisory_lock(counting);
    BEGIN
        ticket := coalesce(pg_sequence_last_value('refusal_tickets'), 0) + 1;
        slot := ticket % 16;
        PERFORM setval('refusal_tickets', ticket);
        PERFORM setval(format('refusal_what_%s', slot), TG_RELID::bigint * 4 + operation);
        PERFORM setval(
            format('refusal_moment_%s', slot), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        );
        PERFORM setval(
            format('refusal_who_%s', slot),
            (role::bigint * 4194304 + pg_backend_pid()) * 256 + ticket / 16 % 256
        );
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock(counting);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(counting);
    RAISE EXCEPTION '% on % is refused: the record is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION refuse_change() SET search_path = %I, pg_temp', current_schema());
END;
$$;
