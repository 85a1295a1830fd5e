-- depends: 0002.append-only

-- Every calibration that was tried, with the figures of its trial; those taken are sent to the consensus.
CREATE TABLE calibrations (
    version text PRIMARY KEY,
    strategy text NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    outcomes integer NOT NULL CHECK (outcomes > 0),
    taken boolean NOT NULL,
    model text NOT NULL,
    figures text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    number bigint GENERATED ALWAYS AS IDENTITY
);

CREATE INDEX calibrations_strategy ON calibrations (strategy, number);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON calibrations FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON calibrations FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The outcomes of a window of event time, and how many were recorded since a moment.
CREATE INDEX outcomes_strategy_ts ON outcomes (strategy, ts);
CREATE INDEX outcomes_created ON outcomes USING brin (created);
