"""One run's events from the network: its tail as a page, then live items, for as long as it is
read; no Textual.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from runwatch_console.ports import ApiError, Connection, EventQuery, RunGone, RunItem
from runwatch_shared.backoff import Backoff
from runwatch_shared.text import clean
from runwatch_shared.wire import EventViewPage


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest events, to be shown in place of whatever was."""

    page: EventViewPage


@dataclass(frozen=True, slots=True)
class TailProblem:
    """The tail could not be had; it is tried again in `retry_in_s`."""

    error: str
    retry_in_s: float


FollowItem = Tail | TailProblem | RunItem

TAIL: Final = 200
"""Events of the first page."""


async def follow_run(
    connection: Connection, run_id: str, *, tail: int = TAIL
) -> AsyncGenerator[FollowItem, None]:
    """The tail first, then what follows it, each event once; ends when the run has ended or is
    gone.

    `tail`: events of the first page; 0 for live events alone.
    """
    backoff = Backoff()
    page: EventViewPage | None = None
    while page is None and tail:
        try:
            page = await connection.api.events(run_id, EventQuery(tail=True, limit=tail))
        except ApiError as error:
            if error.status == 404:
                yield RunGone(detail=error.error)
                return
            wait_s = backoff.next_s(error.retry_after_s)
            yield TailProblem(clean(error.error, limit=200, fold=True), wait_s)
            await asyncio.sleep(wait_s)
    from_seq: int | None = None
    if page is not None:
        yield Tail(page)
        from_seq = page.events[-1].seq if page.events else 0
    items = connection.run_events.follow(run_id, from_seq)
    async with AsyncExitStack() as stack:
        if (close := getattr(items, "aclose", None)) is not None:
            stack.push_async_callback(close)
        async for item in items:
            yield item
