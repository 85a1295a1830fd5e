-- The record of signals, reasons and outcomes. Times are UTC nanoseconds, as in the events.

-- A signal's id derives from its symbol, action, strategy, interval and bar; so its ts (that bar's close) is
-- fixed by its id, and the primary key (id, ts), which a partitioned table asks for, makes the id unique
-- over all partitions.
CREATE TABLE signals (
    id text NOT NULL,
    ts bigint NOT NULL,
    v integer NOT NULL,
    cause text NOT NULL,
    received bigint NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL CHECK (action IN ('BUY', 'SELL')),
    entry double precision NOT NULL CHECK (entry > 0),
    stop double precision NOT NULL CHECK (stop > 0),
    target double precision NOT NULL CHECK (target > 0),
    confidence double precision NOT NULL,
    raw_confidence double precision NOT NULL,
    calibration text NOT NULL,
    regime text NOT NULL,
    view text NOT NULL,
    votes jsonb NOT NULL,
    sources text[] NOT NULL,
    agreement double precision NOT NULL,
    expected_r double precision NOT NULL,
    strategy text NOT NULL,
    interval text NOT NULL,
    bar_ts bigint NOT NULL,
    expires bigint NOT NULL,
    input_seq bigint NOT NULL,
    sha256 text NOT NULL,
    prev_sha256 text NOT NULL,
    shards integer NOT NULL,
    shard integer NOT NULL,
    stream_seq bigint NOT NULL,
    traceparent text NOT NULL,
    payload text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, ts)
) PARTITION BY RANGE (ts);

CREATE INDEX signals_ts ON signals (ts, id);
CREATE INDEX signals_symbol_ts ON signals (symbol, ts, id);
-- Rows come in the order of their recording, so a block range index finds a day at almost no cost.
CREATE INDEX signals_created ON signals USING brin (created);

CREATE TABLE reasons (
    signal text PRIMARY KEY,
    id text NOT NULL,
    ts bigint NOT NULL,
    v integer NOT NULL,
    cause text NOT NULL,
    received bigint NOT NULL,
    symbol text NOT NULL,
    text text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    cost double precision NOT NULL,
    latency_ns bigint NOT NULL,
    cached boolean NOT NULL,
    shards integer NOT NULL,
    shard integer NOT NULL,
    stream_seq bigint NOT NULL,
    traceparent text NOT NULL,
    payload text NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE outcomes (
    signal text PRIMARY KEY,
    id text NOT NULL,
    ts bigint NOT NULL,
    v integer NOT NULL,
    cause text NOT NULL,
    received bigint NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL CHECK (action IN ('BUY', 'SELL')),
    result text NOT NULL CHECK (result IN ('win', 'loss', 'expired')),
    entry double precision NOT NULL,
    exit double precision NOT NULL CHECK (exit > 0),
    opened bigint NOT NULL,
    exit_bar_ts bigint NOT NULL,
    pnl double precision NOT NULL,
    pnl_net double precision NOT NULL,
    r_multiple double precision NOT NULL,
    bars integer NOT NULL CHECK (bars > 0),
    best double precision NOT NULL CHECK (best >= 0),
    worst double precision NOT NULL CHECK (worst <= 0),
    input_seq bigint NOT NULL,
    strategy text NOT NULL,
    shards integer NOT NULL,
    shard integer NOT NULL,
    traceparent text NOT NULL,
    payload text NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX outcomes_symbol_ts ON outcomes (symbol, ts);

-- Signals whose outcome is not yet both stored and published. The record itself is never updated: a row here
-- comes with its signal and goes when nothing is left to do, so a start reads only what is open.
CREATE TABLE unfinished (
    signal text PRIMARY KEY,
    ts bigint NOT NULL,
    shards integer NOT NULL,
    shard integer NOT NULL
);

CREATE INDEX unfinished_shard ON unfinished (shards, shard);

-- Who may write for a shard: the holder of its newest epoch.
CREATE TABLE shard_leases (
    shards integer NOT NULL,
    shard integer NOT NULL,
    epoch bigint NOT NULL,
    member text NOT NULL,
    taken timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shards, shard)
);
