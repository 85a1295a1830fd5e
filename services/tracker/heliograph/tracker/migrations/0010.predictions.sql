-- depends: 0002.append-only

-- What panels said of companies: a verdict for each ticker of a run, and what each agent said on the way, with
-- the figures, the question to its model and the answer, whole. A run comes in one transaction or not at all.
CREATE TABLE verdicts (
    run text NOT NULL,
    ticker text NOT NULL,
    id text NOT NULL,
    ts bigint NOT NULL,
    asof date NOT NULL,
    direction smallint NOT NULL CHECK (direction BETWEEN -1 AND 1),
    conviction double precision NOT NULL CHECK (conviction BETWEEN 0 AND 1),
    agents integer NOT NULL CHECK (agents >= 0),
    action text NOT NULL CHECK (action IN ('buy', 'sell', 'short', 'cover', 'hold')),
    quantity integer NOT NULL CHECK (quantity >= 0),
    reason text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, ticker)
);

CREATE INDEX verdicts_ticker_ts ON verdicts (ticker, ts);

CREATE TABLE predictions (
    run text NOT NULL,
    ticker text NOT NULL,
    agent text NOT NULL,
    signal text NOT NULL CHECK (signal IN ('bullish', 'bearish', 'neutral', 'abstain')),
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    reasoning text NOT NULL,
    spoken_by text NOT NULL,
    note text NOT NULL,
    facts text NOT NULL,
    prompt text NOT NULL,
    answer text NOT NULL,
    PRIMARY KEY (run, ticker, agent),
    FOREIGN KEY (run, ticker) REFERENCES verdicts (run, ticker)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON verdicts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON predictions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
