"""A stream in batches: the first item after silence at once, then at most one batch an interval; no
Textual.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Final, TypeVar

from runwatch_shared.tasks import TaskOwner

T = TypeVar("T")

READ_AHEAD: Final = 500
"""Items read ahead. Beyond it the source is not read, so that its server merges what we have not
taken.
"""
BUSY_ITEMS: Final = 8
"""In one batch; for each so many it may take an interval longer: eyes need no more, and a paint
costs the same however much changed."""


async def paced(
    items: AsyncIterator[T],
    interval: float | Callable[[], float],
    *,
    name: str,
    slowest: int = 2,
) -> AsyncGenerator[list[T], None]:
    """Batches of what arrives, in order, nothing left out; under much traffic less often, down to
    one in `slowest` intervals.

    `interval`: seconds, or what gives them each time.

    Ends when the source ends, after its last item; raises what the source raised. The source is
    closed in any case.
    """
    buffer: list[T] = []
    ready, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with AsyncExitStack() as stack:
            if (close := getattr(items, "aclose", None)) is not None:
                stack.push_async_callback(close)
            async for item in items:
                buffer.append(item)
                ready.set()
                if len(buffer) >= READ_AHEAD:
                    room.clear()
                    await room.wait()

    loop = asyncio.get_running_loop()
    interval_of = interval if callable(interval) else lambda: interval
    last_s, pause_s = float("-inf"), interval_of()
    async with TaskOwner(name) as owner:
        reader = owner.spawn(read(), name=f"{name} reader")
        reader.add_done_callback(lambda _: ready.set())
        while not reader.done() or buffer:
            await ready.wait()
            if (wait_s := last_s + pause_s - loop.time()) > 0 and not reader.done():
                await asyncio.sleep(wait_s)
            ready.clear()
            batch = buffer.copy()
            buffer.clear()
            room.set()
            if batch:
                last_s = loop.time()
                pause_s = interval_of() * min(slowest, 1 + len(batch) // BUSY_ITEMS)
                yield batch
        await reader
