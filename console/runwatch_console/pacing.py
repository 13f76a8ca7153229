"""A stream in batches: the first item after silence at once, then at most one batch an interval; no
Textual.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Final, TypeVar

from runwatch_shared.tasks import TaskOwner

T = TypeVar("T")

READ_AHEAD: Final = 500
"""Items read ahead. Beyond it the source is not read, so that its server merges what we have not
taken.
"""


BUSY_ITEMS: Final = 8
"""In one batch; from there on every second batch is enough for eyes, and costs half."""


async def paced(
    items: AsyncIterator[T], interval_s: float, *, name: str
) -> AsyncGenerator[list[T], None]:
    """Batches of what arrives, in order, nothing left out; under much traffic half as often.

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
    last_s, pause_s = float("-inf"), interval_s
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
                pause_s = interval_s * (2 if len(batch) >= BUSY_ITEMS else 1)
                yield batch
        await reader
