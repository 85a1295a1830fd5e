"""Every metric of Heliograph, with its meaning and what to do about it."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

BARS_PUBLISHED = Counter(
    "heliograph_bars_published_total",
    "Bars that passed the quality gate and are in INPUT. No growth in market hours: look at the provider.",
    ["provider"],
)
BARS_QUARANTINED = Counter(
    "heliograph_bars_quarantined_total",
    "Bars refused by the quality gate, kept in DEAD. A rise: look at dead.fetcher.* and at the provider.",
    ["reason"],
)
LIVE_BREAKS = Counter(
    "heliograph_live_breaks_total",
    "Connections to a live provider lost or not made. A steady rate: the log of the fetcher names the error.",
    ["provider"],
)
LIVE_DUPLICATES = Counter(
    "heliograph_live_duplicates_total",
    "Live bars that came again and were left out. Far more than after a break: look at the provider.",
    ["provider"],
)
LIVE_GAPS = Counter(
    "heliograph_live_gaps_total",
    "Live bars that do not follow right after the one before. A rise over all symbols: look at the breaks.",
    ["provider"],
)
LIVE_UNFILLED = Counter(
    "heliograph_live_unfilled_total",
    "Symbols whose missed bars could not be had for minutes, and were left out. Any: the fetcher's log.",
    ["provider"],
)
STALE_SYMBOLS = Gauge(
    "heliograph_stale_symbols",
    "Symbols whose newest bar is over two intervals old while their market is open. Many: the provider.",
    ["provider"],
)
PROVIDER_REQUESTS = Counter(
    "heliograph_provider_requests_total",
    "Requests to a provider of bars by result (ok, rate, server, connection, refused). Failures: its state.",
    ["provider", "result"],
)
PROVIDER_RETRIES = Counter(
    "heliograph_provider_retries_total",
    "Retries that questions to a provider of bars, records or models wanted, by whether its retry budget "
    "allowed them (yes, no). Any no: over a fifth of the requests fail, look at the provider.",
    ["provider", "allowed"],
)
PROVIDER_SECONDS = Histogram(
    "heliograph_provider_seconds",
    "Time of a request to a provider of bars. p95 over 0.3 s: fewer at once, or a provider that is nearer.",
    ["provider"],
    buckets=SECONDS,
)
PROVIDER_SLOW = Counter(
    "heliograph_provider_slow_total",
    "Requests to a provider of bars over the budget of 0.3 s. A rising share: look at the provider.",
    ["provider"],
)
PROVIDER_GARBAGE = Counter(
    "heliograph_provider_garbage_total",
    "Messages of a provider that are none of those it should send. Any: the fetcher's log shows the first.",
    ["provider"],
)
POLLED_SYMBOLS = Counter(
    "heliograph_polled_symbols_total",
    "Symbols looked at by polling: new (a bar), same, forming, behind (history is asked), missing. Few new: "
    "longer intervals spare calls. Many missing: the provider does not know the names.",
    ["provider", "kind"],
)
BARS_EVALUATED = Counter(
    "heliograph_bars_evaluated_total",
    "Bars that the decision core has seen. Flat while INPUT grows: look at the consensus and its lag.",
)
SIGNALS = Counter(
    "heliograph_signals_total",
    "Signals published. Under half of the expected rate: look at the sources' health.",
    ["action"],
)
GATED = Counter(
    "heliograph_gated_total",
    "Evaluations that gave no signal, by reason. A sudden shift between reasons: look at the data.",
    ["reason"],
)
VOTES = Counter(
    "heliograph_votes_total",
    "Votes from outside, by whether they were taken (yes, no). Many no: a source votes on unknown symbols.",
    ["taken"],
)
REQUESTS = Counter(
    "heliograph_requests_total",
    "Requests for votes from outside, by tier. Far more than votes: no source answers.",
    ["tier"],
)
REASONS = Counter("heliograph_reasons_total", "Reasons published, by provider.", ["provider"])
OUTCOMES = Counter("heliograph_outcomes_total", "Signals that ended, by result.", ["result"])
CALIBRATED = Counter(
    "heliograph_calibrated_total",
    "Signals published, by whether a calibration was applied (yes, no). No yes: look at the trainings.",
    ["calibrated"],
)
CALIBRATIONS = Counter(
    "heliograph_calibrations_total",
    "Calibrations tried, by result (taken, refused). Only refused for weeks: look at the reliability.",
    ["result"],
)
CALIBRATION_FAILURES = Counter(
    "heliograph_calibration_failures_total",
    "Trainings that failed. Any: the log of the tracker names the error; the last calibration stays.",
)
CALIBRATION_BRIER = Gauge(
    "heliograph_calibration_brier_score",
    "Brier score on the newest outcomes (raw, calibrated). Calibrated over raw: look at the reliability.",
    ["strategy", "of"],
)
CALIBRATION_ERROR = Gauge(
    "heliograph_calibration_error_ratio",
    "Expected calibration error on the newest outcomes (raw, calibrated). Over 0.1: the market has changed.",
    ["strategy", "of"],
)
HANDLE_SECONDS = Histogram(
    "heliograph_handle_seconds",
    "Time to make one batch of a shard durable. p95 over 0.6 s: look at the store behind the service.",
    ["service", "source"],
    buckets=SECONDS,
)
HANDLE_FAILURES = Counter(
    "heliograph_handle_failures_total",
    "Batches that failed and were tried again. A steady rate: the log names the error.",
    ["service", "error"],
)
MESSAGES_HANDLED = Counter(
    "heliograph_messages_handled_total",
    "Messages acknowledged. Flat while the stream grows: the service is stuck, see /livez.",
    ["service", "source"],
)
DEAD_LETTERS = Counter(
    "heliograph_dead_letters_total",
    "Messages given up and kept in DEAD. Any: read dead.<service>.*; the service stops at its limit.",
    ["service"],
)
SHARDS_OWNED = Gauge(
    "heliograph_shards_owned",
    "Shards that this process handles. A sum under the number of shards: a hand-over is stuck.",
    ["service"],
)
ROWS_WRITTEN = Counter(
    "heliograph_rows_written_total",
    "Rows made durable. Flat while signals grow: look at the store.",
    ["store", "table"],
)
WRITE_SECONDS = Histogram(
    "heliograph_write_seconds",
    "Time of one write transaction. p95 over 0.5 s: look at the store's disk.",
    ["store"],
    buckets=SECONDS,
)
RECORD_REFUSALS = Counter(
    "heliograph_record_refusals_total",
    "Changes of the append-only record that were refused. Any: `heliograph verify`, and ask who it was.",
)
RECORD_FINDINGS = Gauge(
    "heliograph_record_findings",
    "What the newest check of the record found altered, deleted or foreign. Any: `heliograph verify --full`.",
    ["kind"],
)
CACHE = Counter(
    "heliograph_cache_total",
    "Cache look-ups by result (hit, miss). Hits under 80 %: look at the TTL and the keys.",
    ["cache", "result"],
)
PANEL_AGENTS = Counter(
    "heliograph_panel_agents_total",
    "Analysts of panel runs by how they ended: done, by_rules (no answer of its model), abstained (no data), "
    "failed. Over 10 % by_rules or failed: look at the providers and at the log.",
    ["status"],
)
PANEL_SECONDS = Histogram(
    "heliograph_panel_seconds",
    "Time of a whole panel run. p95 over 15 s: look at the models' latency.",
    buckets=(0.1, 0.5, 1, 2, 3, 5, 7, 10, 15, 30, 60),
)
SPANS_DROPPED = Counter(
    "heliograph_spans_dropped_total",
    "Finished spans that could not be exported. Any: the bus is slow, traces have holes.",
    ["service"],
)
ARCHIVED_OBJECTS = Counter(
    "heliograph_archived_objects_total", "Parquet objects archived and verified.", ["table"]
)
ARCHIVE_NEWEST_DAY = Gauge(
    "heliograph_archive_newest_day_timestamp_seconds",
    "Start of the newest archived event day. Over 24 h behind the newest bar: run the archive.",
)
ARCHIVE_CHECKED = Counter(
    "heliograph_archive_checked_total",
    "Archived objects read again by the sample. Flat for hours: look at the archiver's log.",
)
ARCHIVE_WRONG = Gauge(
    "heliograph_archive_wrong",
    "Archived objects that were not whole when last read. Any: see `heliograph archive verify`; if "
    "ClickHouse still has the day, remove its manifest and run the archive.",
)
ARCHIVE_AGE = Gauge(
    "heliograph_archive_age_seconds",
    "Seconds since the archive last ran with success, or since the start; 0 on a replica that does not "
    "archive. Over a day: `heliograph archive run`, see its error.",
)
WIN_RATIO = Gauge(
    "heliograph_win_ratio",
    "Wins / (wins + losses) of the signals of the newest 30 days, by strategy. Under 0.35: see the outcomes.",
    ["strategy"],
)
PROFIT_FACTOR = Gauge(
    "heliograph_profit_factor_ratio",
    "Gains / losses after costs of the signals of the newest 30 days, by strategy. Under 1: see outcomes.",
    ["strategy"],
)
RECENT_OUTCOMES = Gauge(
    "heliograph_recent_outcomes",
    "Signals of the newest 30 days that have ended, by strategy: what the two ratios rest on.",
    ["strategy"],
)
ALERTS_FIRING = Gauge(
    "heliograph_alerts_firing",
    "Alerts that are raised, by severity, as the replica tells that watches. Any: `heliograph alerts list`.",
    ["severity"],
)
ALERTS_DELIVERED = Counter(
    "heliograph_alerts_delivered_total", "Alerts delivered, raised or resolved, by target.", ["target"]
)
ALERTS_UNDELIVERED = Counter(
    "heliograph_alerts_undelivered_total",
    "Alerts not delivered after all tries, by target. Any: dead.gateway.alerts, `heliograph alerts test`.",
    ["target"],
)
ALERTS_SECONDS = Histogram(
    "heliograph_alerts_seconds",
    "Time of one look at all alerts, the asking of the members left out. Over 0.1 s: fewer series.",
    buckets=SECONDS,
)
SLOW_OPERATIONS = Counter(
    "heliograph_slow_operations_total",
    "Batches that took over the budget of a second. Any in a row: look at the store behind the service.",
    ["service", "source"],
)
CLIENTS = Gauge("heliograph_websocket_clients", "WebSocket clients connected to this gateway.")
FRAMES_SKIPPED = Counter(
    "heliograph_websocket_skipped_total",
    "Live messages that a slow client did not get. A steady rate: clients are slow, or the replay is fast.",
)
SPEND_DOLLARS = Counter(
    "heliograph_spend_dollars_total",
    "US dollars spent by this replica, by provider. Near the day's budgets: ask less, or raise them.",
    ["provider"],
)
SPEND_TODAY = Gauge(
    "heliograph_spend_today_dollars",
    "US dollars spent and reserved today (UTC) by all replicas, as this one saw them last, by provider.",
    ["provider"],
)
SPEND_BUDGET = Gauge(
    "heliograph_spend_budget_dollars",
    "The day's budget of a provider, US dollars. Over 80 % of the sum used: fewer calls, or a budget more.",
    ["provider"],
)
SPEND_DENIED = Counter(
    "heliograph_spend_denied_total",
    "Calls not made, because the day's budget or the window of calls was full. Many: raise it, or ask less.",
    ["provider", "reason"],
)
SPEND_LOST = Counter(
    "heliograph_spend_lost_total",
    "Reservations whose process died before it settled them; each counts its estimate. Any: a crash.",
    ["provider"],
)
SPEND_ALONE = Gauge(
    "heliograph_spend_alone",
    "1 while this replica spends only its share of the budgets. Over two minutes: look at Redis.",
)
MODEL_CALLS = Counter(
    "heliograph_model_calls_total",
    "Calls to language models by provider, purpose and result. Failures over 5 %: look at the provider.",
    ["provider", "purpose", "result"],
)
MODEL_SECONDS = Histogram(
    "heliograph_model_seconds",
    "Time of a successful call to a language model. A rising p95 hedges more calls, which cost more.",
    ["provider"],
    buckets=SECONDS,
)
MODEL_TOKENS = Counter(
    "heliograph_model_tokens_total",
    "Tokens of language models by provider and kind (input, cached, output).",
    ["provider", "kind"],
)
MODEL_HEDGES = Counter(
    "heliograph_model_hedges_total",
    "Questions put to a second provider because the first was slow. Over 10 %: the first one is too slow.",
    ["provider"],
)
KEYS_REFUSED = Counter(
    "heliograph_keys_refused_total",
    "Keys that a provider has refused; the next one is used. Any: replace the key, see the log for its name.",
    ["provider"],
)
PEAK_MEMORY = Gauge(
    "heliograph_peak_memory_bytes",
    "Most memory that the process has held at once. Near its container's limit: give it more, or replicas.",
)
