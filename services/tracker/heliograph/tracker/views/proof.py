"""One signal against the ledger: its hash, its row, its block, its neighbours, and its day's Merkle root."""

import asyncio
from datetime import UTC, date, datetime, time
from typing import Final, LiteralString

import msgspec
from psycopg import sql

from heliograph.common.errors import InputError
from heliograph.common.events import Signal, signal_sha256
from heliograph.tracker import merkle
from heliograph.tracker.checking import Finding, Row, check_link, check_members
from heliograph.tracker.database import Database
from heliograph.tracker.days import DAY
from heliograph.tracker.ledger import DIGEST_BYTES, Block, whole
from heliograph.tracker.queries import SignalQuery
from heliograph.tracker.rows import TABLES

_TABLE = TABLES["signals"]
_COLUMNS = (*_TABLE.columns, "created")
_FIELDS = tuple(field.name for field in msgspec.structs.fields(Block))
_BLOCKS: Final = (
    "SELECT record, shards, shard, number, previous, link, keys, places, digests, created FROM ledger"
)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at; `ok` is None where it cannot be said yet."""

    name: str
    ok: bool | None
    text: str


class BlockName(msgspec.Struct, frozen=True, kw_only=True):
    """The block of the ledger that names a row, with its link in hex."""

    record: str
    shards: int
    shard: int
    number: int
    link: str


class MerkleProof(msgspec.Struct, frozen=True, kw_only=True):
    """That a row's digest is a leaf under its day's root (RFC 6962, section 2.1.1); all hashes in hex.

    Attributes:
        root: as it is stored; None until the day is over.
        leaf: the row's digest, the leaf number `index` (from 0) of `leaves`.
        proof: the hashes beside the way up, the lowest first; empty until the day is over.
    """

    day: str
    root: str | None
    leaves: int
    index: int
    leaf: str
    proof: list[str]


class SignalProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the record says for one signal; `ok` when nothing speaks against it."""

    id: str
    ok: bool
    sha256: str
    prev_sha256: str
    previous: str | None
    next: str | None
    checks: list[Step]
    block: BlockName | None
    merkle: MerkleProof | None


async def prove(database: Database, query: SignalQuery) -> SignalProof:
    """Look at one signal.

    Raises:
        InputError: there is none of this id.
        UnavailableError: Postgres is away.
    """
    row = await _row(database, query.id)
    if row is None:
        raise InputError(f"id: {query.id!r}, expected the id of a signal")
    steps = [_own_hash(row)]
    named = await _blocks(database, "created = %s AND %s = ANY(keys)", (row["created"], query.id))
    if not named or not whole(named[0]):
        steps.append(Step(name="ledger", ok=False, text="no whole block of the ledger names it"))
        return _proof(row, steps)
    block = named[0]
    before = await _blocks(database, "(shards, shard, number) = (%s, %s, %s)", _beside(block, -1))
    after = await _blocks(database, "(shards, shard, number) = (%s, %s, %s)", _beside(block, +1))
    own = [f for f in check_members(block, {query.id: row}) if f.key == query.id]
    steps.append(_told("row", own, "every column and the payload are those that the ledger sealed"))
    links = check_link(block, before[0] if before else None)
    steps.append(_told("ledger", links, f"block {block.number} of shard {block.shard} holds its chain"))
    at = block.keys.index(query.id)
    previous = block.keys[at - 1] if at else (before[0].keys[-1] if before else None)
    following = block.keys[at + 1] if at + 1 < len(block.keys) else (after[0].keys[0] if after else None)
    steps += await _chained(database, row, previous, following)
    merkle_proof, step = await _day(database, block, at)
    steps.append(step)
    return _proof(row, steps, block, previous, following, merkle_proof)


def _proof(
    row: Row,
    steps: list[Step],
    block: Block | None = None,
    previous: str | None = None,
    following: str | None = None,
    proof: MerkleProof | None = None,
) -> SignalProof:
    return SignalProof(
        id=row["id"],
        ok=all(step.ok is not False for step in steps),
        sha256=row["sha256"],
        prev_sha256=row["prev_sha256"],
        previous=previous,
        next=following,
        checks=steps,
        block=_name(block) if block else None,
        merkle=proof,
    )


def _name(block: Block) -> BlockName:
    return BlockName(
        record=block.record,
        shards=block.shards,
        shard=block.shard,
        number=block.number,
        link=block.link.hex(),
    )


def _own_hash(row: Row) -> Step:
    """Whether the signal's `sha256` is that of its identity fields."""
    try:
        expected = signal_sha256(msgspec.json.decode(row["payload"], type=Signal))
    except (msgspec.DecodeError, ValueError) as error:
        return Step(name="hash", ok=False, text=f"payload: {error}")
    fits = row["sha256"] == expected
    text = "its sha256 is that of its fields" if fits else f"sha256: {row['sha256']!r}, expected {expected!r}"
    return Step(name="hash", ok=fits, text=text)


def _told(name: str, findings: list[Finding], well: str) -> Step:
    return Step(name=name, ok=not findings, text="; ".join(f.detail for f in findings) or well)


def _beside(block: Block, by: int) -> tuple[int, int, int]:
    return block.shards, block.shard, block.number + by


async def _row(database: Database, signal: str) -> Row | None:
    found = await database.fetch(
        sql.SQL("SELECT {} FROM every_signal WHERE id = %s").format(
            sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        ),
        (signal,),
    )
    return dict(zip(_COLUMNS, found[0], strict=True)) if found else None


async def _blocks(
    database: Database, condition: LiteralString, parameters: tuple[object, ...]
) -> list[Block]:
    rows = await database.fetch(f"{_BLOCKS} WHERE record = 'signals' AND {condition} LIMIT 1", parameters)
    return [Block(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


async def _chained(database: Database, row: Row, previous: str | None, following: str | None) -> list[Step]:
    """The signal's place between the one before it in its shard and the one after it."""
    ids = [key for key in (previous, following) if key]
    found = await database.fetch(
        "SELECT id, sha256, prev_sha256 FROM every_signal WHERE id = ANY(%s)", (ids,)
    )
    hashes = {key: (own, before) for key, own, before in found}
    steps = []
    if previous:
        expected = hashes.get(previous, (None, None))[0]
        steps.append(_link("previous", row["prev_sha256"], expected, previous))
    if following:
        steps.append(_link("next", hashes.get(following, (None, None))[1], row["sha256"], following))
    return steps


def _link(name: str, found: str | None, expected: str | None, neighbour: str) -> Step:
    if found is None or expected is None:
        return Step(name=name, ok=False, text=f"signal {neighbour} is not in the record")
    fits = found == expected
    text = f"chained to {neighbour}" if fits else f"prev_sha256: {found!r}, expected {expected!r}"
    return Step(name=name, ok=fits, text=text)


async def _day(database: Database, block: Block, at: int) -> tuple[MerkleProof, Step]:
    """The signal's leaf under the root of the day on which it was recorded."""
    day = block.created.astimezone(UTC).date()
    leaves, index = await _leaves(database, day, block, at)
    stored = await database.fetch("SELECT leaves, root FROM day_roots WHERE day = %s", (day,))
    proof = await asyncio.to_thread(merkle.path, leaves, index) if stored else []
    made = MerkleProof(
        day=day.isoformat(),
        root=stored[0][1].hex() if stored else None,
        leaves=len(leaves),
        index=index,
        leaf=leaves[index].hex(),
        proof=[node.hex() for node in proof],
    )
    if not stored:
        return made, Step(name="day", ok=None, text=f"{day} has no root yet: it is made when the day is over")
    fits = merkle.climb(leaves[index], index, len(leaves), proof) == stored[0][1]
    text = f"leaf {index} of {len(leaves)} under the root of {day}"
    return made, Step(name="day", ok=fits, text=text if fits else f"{text}: the root is another")


async def _leaves(database: Database, day: date, block: Block, at: int) -> tuple[list[bytes], int]:
    """The digests of a day in the order of its root, and the place of one among them."""
    start = datetime.combine(day, time(), UTC)
    rows = await database.fetch(
        """SELECT record, shards, shard, number, digests FROM ledger WHERE created >= %s AND created < %s
        ORDER BY record, shards, shard, number""",
        (start, start + DAY),
    )
    leaves, index = list[bytes](), 0
    for record, shards, shard, number, digests in rows:
        if (record, shards, shard, number) == (*block.chain, block.number):
            index = len(leaves) + at
        leaves += [digests[i : i + DIGEST_BYTES] for i in range(0, len(digests), DIGEST_BYTES)]
    return leaves, index
