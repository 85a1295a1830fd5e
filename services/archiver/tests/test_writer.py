"""Group commit: many writers, few inserts, each hears of its own."""

import asyncio
import time

import pyarrow as pa
import pytest

from heliograph.archiver.writer import MAX_ROWS, GroupCommit
from heliograph.common.errors import PoisonError, UnavailableError


class Database:
    """Keeps what is inserted; refuses negative rows, or everything while it is away."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.inserts: list[list[int]] = []
        self.attempts = 0
        self.seconds = seconds
        self.away = False

    async def insert(self, table: str, rows: pa.Table) -> None:
        self.attempts += 1
        await asyncio.sleep(self.seconds)
        values = rows["n"].to_pylist()
        if self.away:
            raise UnavailableError(f"{table}: away")
        if min(values) < 0:
            raise PoisonError(f"{table}: negative")
        self.inserts.append(values)


def rows(*values: int) -> pa.Table:
    return pa.table({"n": list(values)})


async def test_rows_of_many_writers_become_one_insert() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=1000, seconds=0.05)
    await asyncio.gather(*(writer.write("bars", rows(n)) for n in range(50)))
    assert database.inserts == [list(range(50))]


async def test_enough_rows_do_not_wait() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=10, seconds=1)
    started = time.perf_counter()
    await writer.write("bars", rows(*range(10)))
    assert time.perf_counter() - started < 0.5


async def test_few_rows_wait_no_longer_than_the_setting() -> None:
    database = Database(0.2)
    writer = GroupCommit(database.insert, rows=1000, seconds=0.05)
    await writer.write("bars", rows(1))
    started = time.perf_counter()
    await writer.write("bars", rows(2))
    assert time.perf_counter() - started < 0.2 + 0.05 + 0.2


async def test_writers_return_only_after_the_insert() -> None:
    database = Database(0.1)
    writer = GroupCommit(database.insert, rows=1, seconds=0)
    task = asyncio.create_task(writer.write("bars", rows(1)))
    await asyncio.sleep(0.03)
    assert not task.done()
    assert not database.inserts
    await task
    assert database.inserts == [[1]]


async def test_while_an_insert_runs_the_next_gathers() -> None:
    database = Database(0.05)
    writer = GroupCommit(database.insert, rows=1, seconds=0)
    first = asyncio.create_task(writer.write("bars", rows(0)))
    await asyncio.sleep(0.02)
    await asyncio.gather(first, *(writer.write("bars", rows(n)) for n in range(1, 9)))
    assert database.inserts == [[0], list(range(1, 9))]


async def test_poison_stands_alone_and_the_others_are_inserted() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=1000, seconds=0.02)
    results = await asyncio.gather(
        *(writer.write("bars", rows(-1 if n in (3, 11) else n)) for n in range(16)), return_exceptions=True
    )
    assert [n for n, r in enumerate(results) if isinstance(r, PoisonError)] == [3, 11]
    assert sorted(v for i in database.inserts for v in i) == [n for n in range(16) if n not in (3, 11)]
    assert database.attempts < 16


async def test_a_store_that_is_away_tells_every_writer_and_takes_them_later() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=1000, seconds=0.02)
    database.away = True
    results = await asyncio.gather(*(writer.write("bars", rows(n)) for n in range(5)), return_exceptions=True)
    assert all(isinstance(r, UnavailableError) for r in results)
    assert len({id(r) for r in results}) == 5
    assert database.attempts == 1
    database.away = False
    await writer.write("bars", rows(9))
    assert database.inserts == [[9]]


async def test_an_unexpected_failure_is_heard_too() -> None:
    async def broken(table: str, rows: pa.Table) -> None:
        raise ZeroDivisionError(table, rows.num_rows)

    with pytest.raises(UnavailableError, match="ZeroDivisionError"):
        await GroupCommit(broken, rows=1, seconds=0).write("bars", rows(1))


async def test_one_insert_is_bounded() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=1, seconds=0)
    size = MAX_ROWS // 2 + 1
    await asyncio.gather(*(writer.write("bars", rows(*[n] * size)) for n in range(3)))
    assert [len(i) for i in database.inserts] == [size] * 3


async def test_a_writer_that_gave_up_does_not_disturb_the_others() -> None:
    database = Database(0.05)
    writer = GroupCommit(database.insert, rows=1000, seconds=0.02)
    gone = asyncio.create_task(writer.write("bars", rows(1)))
    stays = asyncio.create_task(writer.write("bars", rows(2)))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert database.inserts == [[1, 2]]


async def test_closing_inserts_what_waits_and_refuses_more() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=1000, seconds=1)
    task = asyncio.create_task(writer.write("bars", rows(1)))
    await asyncio.sleep(0)
    await writer.close()
    await task
    assert database.inserts == [[1]]
    with pytest.raises(UnavailableError, match="closed"):
        await writer.write("bars", rows(2))


async def test_a_lone_writer_in_a_backlog_does_not_wait() -> None:
    database = Database()
    writer = GroupCommit(database.insert, rows=1000, seconds=1)
    started = time.perf_counter()
    for number in range(20):
        await writer.write("bars", rows(number), more=True)
    assert time.perf_counter() - started < 0.5
    assert len(database.inserts) == 20


async def test_writers_in_a_backlog_come_to_share_their_inserts() -> None:
    database = Database(0.02)
    writer = GroupCommit(database.insert, rows=1000, seconds=1)

    async def backlog(number: int) -> None:
        for _ in range(10):
            await writer.write("bars", rows(number), more=True)

    await asyncio.gather(*map(backlog, range(8)))
    assert sum(map(len, database.inserts)) == 80
    assert len(database.inserts) <= 20, "not one for each of eighty writes"
    assert max(map(len, database.inserts)) == 8


async def test_those_whose_backlog_is_gone_are_not_waited_for_longer_than_others() -> None:
    database = Database(0.01)
    writer = GroupCommit(database.insert, rows=1000, seconds=0.05)
    await asyncio.gather(*(writer.write("bars", rows(n), more=True) for n in range(8)))
    started = time.perf_counter()
    await writer.write("bars", rows(9), more=True)
    assert time.perf_counter() - started < 0.5
    assert database.inserts[-1] == [9]
