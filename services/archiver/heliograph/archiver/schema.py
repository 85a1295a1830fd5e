"""The tables: their columns as Arrow types, their order, and where their DDL stands.

ClickHouse and the Parquet archive are both fed from these Arrow schemas, so that they cannot drift apart.
"""

from importlib import resources

import msgspec
import pyarrow as pa

TIME = pa.timestamp("ns", "UTC")


def list_of(kind: pa.DataType) -> pa.DataType:
    """A list whose elements are called what Parquet calls them."""
    return pa.list_(pa.field("element", kind))


VOTE = pa.struct(
    [
        ("source", pa.string()),
        ("direction", pa.int8()),
        ("confidence", pa.float64()),
        ("weight", pa.float64()),
        ("age_ns", pa.int64()),
    ]
)
LINK = pa.struct([("trace_id", pa.string()), ("span_id", pa.string())])
EVENT = [
    ("symbol", pa.string()),
    ("ts", TIME),
    ("id", pa.string()),
    ("cause", pa.string()),
    ("v", pa.uint16()),
    ("received", TIME),
]
"""The columns of every event that is one row."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table.

    Attributes:
        name: in ClickHouse and in the archive's paths.
        columns: the Arrow schema of its rows; the database adds `inserted`, the time of the insert.
        key: its order, which identifies a row.
        time: the column with the event time, which is never changed and chooses the partition and the day.
        version: of the schema; a new one makes the archive write its days again.
    """

    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    time: str = "ts"
    version: int = 1

    @property
    def ddl(self) -> list[str]:
        """The statements that make it or bring it up to date, the same embedded and on a server."""
        return _statements(self.name)


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A table that ClickHouse keeps up from another as rows come in.

    Attributes:
        name: of the table; the view that fills it has `_view` behind it.
        source: the table whose rows it is made of.
    """

    name: str
    source: str

    @property
    def ddl(self) -> list[str]:
        """The statements that make the table and the view."""
        return _statements(self.name)

    @property
    def fill(self) -> str:
        """The statement that fills the table from what its source has."""
        select = self.ddl[1].partition(" AS\n")[2]
        return f"INSERT INTO {self.name} {select}"


def _statements(name: str) -> list[str]:
    return (resources.files(__package__) / "tables" / f"{name}.sql").read_text().split(";\n")


BARS = Table(
    name="bars",
    columns=pa.schema(
        [
            ("symbol", pa.string()),
            ("interval", pa.string()),
            ("ts", TIME),
            ("open", pa.float64()),
            ("high", pa.float64()),
            ("low", pa.float64()),
            ("close", pa.float64()),
            ("volume", pa.float64()),
            ("split", pa.float64()),
            ("source", pa.string()),
            ("received", TIME),
        ]
    ),
    key=("symbol", "interval", "ts"),
    version=2,
)
SIGNALS = Table(
    name="signals",
    columns=pa.schema(
        [
            *EVENT,
            ("action", pa.string()),
            ("entry", pa.float64()),
            ("stop", pa.float64()),
            ("target", pa.float64()),
            ("confidence", pa.float64()),
            ("raw_confidence", pa.float64()),
            ("regime", pa.string()),
            ("view", pa.string()),
            ("votes", list_of(VOTE)),
            ("sources", list_of(pa.string())),
            ("agreement", pa.float64()),
            ("expected_r", pa.float64()),
            ("strategy", pa.string()),
            ("interval", pa.string()),
            ("bar_ts", TIME),
            ("expires", TIME),
            ("input_seq", pa.uint64()),
            ("sha256", pa.string()),
            ("prev_sha256", pa.string()),
            ("calibration", pa.string()),
        ]
    ),
    key=("symbol", "ts", "id"),
)
REASONS = Table(
    name="reasons",
    columns=pa.schema(
        [
            *EVENT,
            ("signal", pa.string()),
            ("text", pa.string()),
            ("provider", pa.string()),
            ("model", pa.string()),
            ("tokens_in", pa.uint32()),
            ("tokens_out", pa.uint32()),
            ("cost", pa.float64()),
            ("latency_ns", pa.int64()),
            ("cached", pa.bool_()),
        ]
    ),
    key=("symbol", "ts", "id"),
)
OUTCOMES = Table(
    name="outcomes",
    columns=pa.schema(
        [
            *EVENT,
            ("signal", pa.string()),
            ("action", pa.string()),
            ("result", pa.string()),
            ("entry", pa.float64()),
            ("exit", pa.float64()),
            ("opened", TIME),
            ("exit_bar_ts", TIME),
            ("pnl", pa.float64()),
            ("pnl_net", pa.float64()),
            ("r_multiple", pa.float64()),
            ("bars", pa.uint32()),
            ("best", pa.float64()),
            ("worst", pa.float64()),
            ("input_seq", pa.uint64()),
            ("strategy", pa.string()),
        ]
    ),
    key=("symbol", "ts", "id"),
)
VOTES = Table(
    name="votes",
    columns=pa.schema(
        [
            *EVENT,
            ("source", pa.string()),
            ("direction", pa.int8()),
            ("confidence", pa.float64()),
            ("observed", TIME),
        ]
    ),
    key=("symbol", "source", "ts", "id"),
)
SPANS = Table(
    name="spans",
    columns=pa.schema(
        [
            ("trace_id", pa.string()),
            ("span_id", pa.string()),
            ("parent_id", pa.string()),
            ("name", pa.string()),
            ("kind", pa.string()),
            ("service", pa.string()),
            ("start", TIME),
            ("end", TIME),
            ("status", pa.string()),
            ("signal", pa.string()),
            ("attributes", pa.string()),
            ("links", list_of(LINK)),
        ]
    ),
    key=("trace_id", "span_id"),
    time="start",
)

EVENT_TABLES: tuple[Table, ...] = (BARS, SIGNALS, REASONS, OUTCOMES, VOTES)
"""What is archived as Parquet; spans live in ClickHouse alone."""
TABLES: tuple[Table, ...] = (*EVENT_TABLES, SPANS)
VIEWS: tuple[View, ...] = (
    View(name="signal_briefs", source="signals"),
    View(name="outcome_days", source="outcomes"),
    View(name="spend", source="reasons"),
)
GONE = ("signals_daily", "outcomes_daily", "spend_hourly", "signal_votes", "signal_days", "vote_days")
"""Views that others have replaced; a store that still has them loses them."""
