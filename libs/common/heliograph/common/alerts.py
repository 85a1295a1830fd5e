"""The one table of alerts: conditions in PromQL, for Prometheus and for the gateway alike.

The table is alerts.toml beside this file. deploy/alert_pages.py makes Prometheus's rules and the page of it.
"""

import re
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import msgspec

from heliograph.common.errors import InvariantError

Severity = Literal["warning", "critical"]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Za-z]+$")]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
KEEP_S = 300.0
WHITE_SPACE = re.compile(r"\s+")


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure that alerts share: `expr` under the name `record`, computed before them."""

    record: str
    expr: str


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alert. Each set of labels that `expr` gives is raised and resolved by itself.

    Attributes:
        name: as in the subject `alert.<name>`.
        means: what has happened, for whoever has not seen it before.
        summary: one line, with `{{ $labels.x }}` and `{{ $value | humanize }}` as in Prometheus.
        remedy: what to do; it may hold `{{ $labels.x }}` too.
        expr: PromQL that gives something while the alert's condition holds.
        for_s: how long it must hold before the alert is raised, in seconds.
        keep_s: how long it must not hold before the alert is resolved: one that comes and goes is one.
    """

    name: Name
    severity: Severity
    means: str
    summary: str
    remedy: str
    expr: str
    for_s: Seconds = 0.0
    keep_s: Seconds = KEEP_S


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is recorded and all alerts, in their order."""

    recorded: tuple[Recorded, ...]
    rules: tuple[Rule, ...]


@cache
def table() -> Table:
    """The table, each text on one line.

    Raises:
        InvariantError: the file that comes with the package does not fit.
    """
    text = resources.files("heliograph.common").joinpath("alerts.toml").read_text(encoding="utf-8")
    try:
        read = msgspec.toml.decode(text, type=Table)
    except msgspec.DecodeError as error:
        raise InvariantError(f"alerts.toml: {error}") from error
    return Table(
        recorded=tuple(msgspec.structs.replace(r, expr=one_line(r.expr)) for r in read.recorded),
        rules=tuple(
            msgspec.structs.replace(
                r,
                means=one_line(r.means),
                summary=one_line(r.summary),
                remedy=one_line(r.remedy),
                expr=one_line(r.expr),
            )
            for r in read.rules
        ),
    )


def one_line(text: str) -> str:
    """The text with each run of white space as one space."""
    return WHITE_SPACE.sub(" ", text).strip()
