"""What is wrong with a part of the record: rows against their block, a block against the one before. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from heliograph.common.events import Event, Outcome, Reason, Signal, signal_sha256
from heliograph.tracker.ledger import Block, Member, block_link, row_digest, whole
from heliograph.tracker.rows import RESTORED, TABLES

Kind = Literal["altered", "deleted", "reordered", "foreign", "unchained"]
EVENTS: dict[str, type[Event]] = {"signals": Signal, "reasons": Reason, "outcomes": Outcome}
SHOWN = 120

_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENTS.items()}

Row = Mapping[str, Any]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written.

    Attributes:
        kind: a row that was altered, deleted, reordered, or that the tracker never wrote (foreign); a chain
            that does not hold (unchained).
        record: the table; `key` the row's id, or the block's or the day's name in `ledger` and `day_roots`.
        detail: what differs: the stored value and the expected one.
    """

    kind: Kind
    record: str
    key: str
    detail: str
    shard: int | None = None


def name_of(block: Block) -> str:
    """A block's name in a finding."""
    return f"{block.record}/{block.shards}/{block.shard}/{block.number}"


def check_link(block: Block, before: Block | None) -> list[Finding]:
    """A block against its own link and against its predecessor (None: it must be the first)."""

    def finding(kind: Kind, detail: str) -> Finding:
        return Finding(kind=kind, record="ledger", key=name_of(block), shard=block.shard, detail=detail)

    found = []
    if not whole(block) or block_link(block) != block.link:
        found.append(finding("altered", "its link is not that of its content"))
    number, link = (before.number, before.link) if before else (0, b"")
    if block.number != number + 1:
        missing = f"{number + 1}" if block.number == number + 2 else f"{number + 1} to {block.number - 1}"
        found.append(finding("deleted", f"block {missing} before it is missing"))
    elif block.previous != link:
        found.append(finding("unchained", f"previous: {block.previous.hex()!r}, expected {link.hex()!r}"))
    return found


def check_members(block: Block, rows: Mapping[str, Row]) -> list[Finding]:
    """Each row that a block names against what the block says of it; `rows` by key."""
    found: list[Finding] = []
    for member in block.members:
        row = rows.get(member.key)
        wrong: list[tuple[Kind, str]] = (
            [("deleted", f"block {name_of(block)} names it, the table has no such row")]
            if row is None
            else _differences(block, member, row)
        )
        found += [
            Finding(kind=kind, record=block.record, key=member.key, shard=block.shard, detail=detail)
            for kind, detail in wrong
        ]
    return found


def _differences(block: Block, member: Member, row: Row) -> list[tuple[Kind, str]]:
    table = TABLES[block.record]
    found: list[tuple[Kind, str]] = []
    if row_digest(row["traceparent"], row["payload"]) != member.digest:
        found.append(("altered", "payload or traceparent: not those that the ledger has the digest of"))
    if row[table.place] != member.place:
        kind: Kind = "altered" if table.place in table.fields else "reordered"
        found.append((kind, f"{table.place}: {row[table.place]}, expected {member.place}"))
    expected: dict[str, Any] = {"shards": block.shards, "shard": block.shard, "created": block.created}
    try:
        event = _decoders[block.record].decode(row["payload"])
    except (msgspec.DecodeError, ValueError) as error:
        found.append(("altered", f"payload: {error}"))
    else:
        expected |= _columns(event, table.fields)
        if isinstance(event, Signal):
            expected["sha256"] = signal_sha256(event)
    found += [
        ("altered", f"{name}: {_shown(row[name])}, expected {_shown(value)}")
        for name, value in expected.items()
        if row[name] != value and name != table.place
    ]
    return found


def _columns(event: Event, names: Iterable[str]) -> dict[str, Any]:
    """What the columns of an event's row hold."""
    return {name: msgspec.to_builtins(getattr(event, name)) for name in names}


def _shown(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def check_signal_chain(
    block: Block, rows: Mapping[str, Row], before: str | None
) -> tuple[list[Finding], str | None]:
    """Each signal's `prev_sha256` against the signal before it in its shard, whose `sha256` is `before`.

    What was restored stands in the ledger where it came back, not behind the signal that it once followed.

    Returns:
        The findings, and the `sha256` of the block's last signal; None where it is not known, since the row
        is missing: nothing can be said then of the next one.
    """
    found = []
    for key in block.keys:
        row = rows.get(key)
        if row is None or row["stream_seq"] == RESTORED:
            before = None
            continue
        if before is not None and row["prev_sha256"] != before:
            detail = f"prev_sha256: {row['prev_sha256']!r}, expected {before!r}"
            found.append(
                Finding(kind="unchained", record="signals", key=key, shard=block.shard, detail=detail)
            )
        before = row["sha256"]
    return found, before


def foreign(record: str, keys: Sequence[str]) -> list[Finding]:
    """Rows that no block names."""
    detail = "no block of the ledger names it: the tracker did not write it"
    return [Finding(kind="foreign", record=record, key=key, detail=detail) for key in keys]
