-- depends: 0011.calibrations

-- Cases of the pattern search. Their outcomes are those of their signals.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE pattern_cases (
    signal text PRIMARY KEY,
    symbol text NOT NULL,
    ts bigint NOT NULL,
    features double precision[] NOT NULL CHECK (cardinality(features) = 16),
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Mean and scale of each feature, fitted on the cases up to `until`.
CREATE TABLE pattern_scalers (
    version text PRIMARY KEY,
    until bigint NOT NULL,
    cases bigint NOT NULL CHECK (cases > 0),
    scaler text NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    number bigint GENERATED ALWAYS AS IDENTITY
);

-- A case as a vector of length 1, by the version of the scaler that made it.
CREATE TABLE pattern_vectors (
    scaler text NOT NULL REFERENCES pattern_scalers (version),
    signal text NOT NULL REFERENCES pattern_cases (signal),
    vector vector(16) NOT NULL,
    PRIMARY KEY (scaler, signal)
);

CREATE INDEX pattern_cases_created ON pattern_cases USING brin (created);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pattern_cases
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pattern_scalers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pattern_vectors
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON pattern_cases FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON pattern_scalers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON pattern_vectors FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
