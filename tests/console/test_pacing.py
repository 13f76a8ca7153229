"""A stream in batches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from runwatch_console.pacing import READ_AHEAD, paced


async def source(queue: "asyncio.Queue[int | None]") -> AsyncIterator[int]:
    while (item := await queue.get()) is not None:
        yield item


@pytest.mark.requirement("fast.folding")
async def test_the_first_item_after_silence_comes_at_once_and_a_burst_in_one_batch() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    async with asyncio.timeout(5), aclosing(paced(source(queue), 0.2, name="test")) as batches:
        queue.put_nowait(1)
        assert await anext(batches) == [1]
        for number in range(2, 50):
            queue.put_nowait(number)
        assert await anext(batches) == list(range(2, 50))


async def test_under_much_traffic_batches_come_less_often() -> None:
    async def storm() -> AsyncIterator[int]:
        for number in range(400):
            yield number
            await asyncio.sleep(0.002)

    async def sizes(slowest: int) -> list[int]:
        async with aclosing(paced(storm(), 0.05, name="test", slowest=slowest)) as batches:
            return [len(batch) async for batch in batches]

    async with asyncio.timeout(10):
        often, seldom = await asyncio.gather(sizes(1), sizes(3))
    assert sum(often) == sum(seldom) == 400
    assert len(seldom) <= 0.6 * len(often)


async def test_nothing_is_left_out_and_the_end_is_passed_on() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    for number in range(3 * READ_AHEAD):
        queue.put_nowait(number)
    queue.put_nowait(None)
    async with asyncio.timeout(5), aclosing(paced(source(queue), 0.001, name="test")) as batches:
        got = [number async for batch in batches for number in batch]
    assert got == list(range(3 * READ_AHEAD))


async def test_an_error_of_the_source_comes_after_what_it_gave() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    got: list[int] = []

    async def read() -> None:
        async with asyncio.timeout(5), aclosing(paced(failing(), 0.001, name="test")) as batches:
            async for batch in batches:
                got.extend(batch)

    with pytest.raises(ValueError, match="broken"):
        await read()
    assert got == [1]


async def test_a_reader_that_stops_reading_stops_the_source_too() -> None:
    given = 0

    async def endless() -> AsyncIterator[int]:
        nonlocal given
        while True:
            given += 1
            yield given

    async with asyncio.timeout(5), aclosing(paced(endless(), 0.01, name="test")) as batches:
        await anext(batches)
        for _ in range(20):
            await asyncio.sleep(0)
        assert given <= 2 * READ_AHEAD + 2


async def test_closing_closes_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with asyncio.timeout(5), aclosing(paced(endless(), 0.01, name="test")) as batches:
        await anext(batches)
    assert closed.is_set()


async def test_the_interval_may_change_while_batches_come() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue()
    asked: list[float] = []

    def interval() -> float:
        asked.append(0.001 * (len(asked) + 1))
        return asked[-1]

    async with asyncio.timeout(5), aclosing(paced(source(queue), interval, name="test")) as batches:
        for number in range(4):
            queue.put_nowait(number)
            assert await anext(batches) == [number]
    assert len(asked) >= 4
