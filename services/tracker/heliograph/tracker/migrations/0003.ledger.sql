-- depends: 0002.append-only

-- The ledger says what each write put into the record. A block comes with its rows, in one statement, and names
-- them, their places in the stream and their digests; its link covers the block before it. One chain a table
-- and shard.
CREATE TABLE ledger (
    record text NOT NULL,
    shards integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    previous bytea NOT NULL,
    link bytea NOT NULL CHECK (length(link) = 32),
    keys text[] NOT NULL,
    places bigint[] NOT NULL,
    digests bytea NOT NULL CHECK (length(digests) = 32 * cardinality(keys)),
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (record, shards, shard, number)
);

CREATE INDEX ledger_created ON ledger USING brin (created);

CREATE FUNCTION row_digest(traceparent text, payload text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(traceparent || E'\n' || payload, 'UTF8'));

CREATE FUNCTION block_link(
    record text, shards integer, shard integer, number bigint, previous bytea,
    keys text[], places bigint[], digests bytea
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(
    convert_to(concat_ws(' ', record, shards, shard, number) || E'\n', 'UTF8') || previous
    || convert_to(
        array_to_string(keys, ' ') || E'\n' || array_to_string(places, ' ') || E'\n', 'UTF8'
    ) || digests
);

-- The Merkle root over all rows that were recorded on a day (UTC), and the link to the day before.
CREATE TABLE day_roots (
    day date PRIMARY KEY,
    leaves bigint NOT NULL CHECK (leaves >= 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    previous bytea NOT NULL,
    link bytea NOT NULL CHECK (length(link) = 32),
    created timestamptz NOT NULL DEFAULT now()
);

-- Each look at the record, and what it found.
CREATE TABLE integrity_checks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('sample', 'full')),
    rows bigint NOT NULL,
    findings jsonb NOT NULL,
    seconds double precision NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX integrity_checks_kind ON integrity_checks (kind, created);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON day_roots FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON integrity_checks FOR EACH ROW
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON day_roots FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON integrity_checks FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
