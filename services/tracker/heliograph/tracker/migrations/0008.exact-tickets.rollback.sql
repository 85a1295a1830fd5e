CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ticket bigint := nextval('refusal_tickets');
    slot bigint := ticket % 16;
    operation bigint := CASE TG_OP WHEN 'UPDATE' THEN 1 WHEN 'DELETE' THEN 2 ELSE 3 END;
    role oid := (SELECT oid FROM pg_roles WHERE rolname = session_user);
BEGIN
    PERFORM setval(format('refusal_what_%s', slot), TG_RELID::bigint * 4 + operation);
    PERFORM setval(
        format('refusal_moment_%s', slot), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    );
    PERFORM setval(
        format('refusal_who_%s', slot),
        (role::bigint * 4194304 + pg_backend_pid()) * 256 + ticket / 16 % 256
    );
    RAISE EXCEPTION '% on % is refused: the record is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION refuse_change() SET search_path = %I, pg_temp', current_schema());
END;
$$;
