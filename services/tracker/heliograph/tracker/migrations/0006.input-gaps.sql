-- depends: 0005.partitions

-- Signals of whose bars INPUT no longer held all when the tracker had to read them again: those after the
-- sequence `after` up to before `first` were gone, and so many bars came from the archive instead.
CREATE TABLE input_gaps (
    signal text NOT NULL,
    after bigint NOT NULL,
    first bigint NOT NULL,
    bars bigint NOT NULL CHECK (bars >= 0),
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (signal, first)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON input_gaps FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER keep_all BEFORE UPDATE OR DELETE OR TRUNCATE ON input_gaps FOR EACH STATEMENT
EXECUTE FUNCTION refuse_change();
