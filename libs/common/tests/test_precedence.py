import asyncio

import pytest

from heliograph.common.precedence import Precedence


async def passes(count: int = 1) -> None:
    """Let the loop come round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_rests_waits_for_what_does_not() -> None:
    precedence, wake = Precedence(), asyncio.Event()
    with precedence.turn(rests=False):
        with precedence.turn(rests=False):
            assert not precedence.free
            precedence.hold(wake)
        assert not wake.is_set()
    assert wake.is_set()
    assert precedence.free


async def test_what_does_not_rest_never_waits() -> None:
    precedence = Precedence()
    with precedence.turn(rests=False), precedence.turn(rests=True), precedence.turn(rests=False):
        assert not precedence.free


async def test_one_that_rests_begins_in_each_round_of_the_loop() -> None:
    precedence, order = Precedence(), list[int]()

    async def shard(number: int) -> None:
        wake = asyncio.Event()
        while not precedence.free:
            precedence.hold(wake)
            await wake.wait()
            wake.clear()
        with precedence.turn(rests=True):
            order.append(number)
            await passes(10)

    shards = [asyncio.create_task(shard(n)) for n in range(4)]
    await passes()
    assert order == [0]
    await asyncio.gather(*shards)
    assert order == [0, 1, 2, 3]


async def test_a_failure_in_hand_ends_its_turn() -> None:
    precedence = Precedence()
    with pytest.raises(ZeroDivisionError), precedence.turn(rests=False):
        _ = 1 // 0
    assert precedence.free
