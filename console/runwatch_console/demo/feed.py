"""The made-up fleet's feed, and the events of its runs."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from runwatch_console.demo.login import LoginLog
from runwatch_console.demo.server import DemoServer
from runwatch_console.demo.simrun import SimRun
from runwatch_console.ports import (
    ApiError,
    Connected,
    Connecting,
    EventBatch,
    FeedItem,
    Frame,
    Gap,
    RunGone,
    RunItem,
    RunStatus,
)
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND
from runwatch_shared.wire import (
    MONITOR_HEARTBEAT_S,
    HeartbeatFrame,
    SubscribeFrame,
)

TICK_S: Final = 0.05
LARGEST_BATCH: Final = 500


class DemoFeed:
    """See `ports.Feed`."""

    def __init__(self, server: DemoServer, subscription: SubscribeFrame) -> None:
        self._server = server
        self._subscription = subscription

    def retry_now(self) -> None:
        """It is never lost."""

    async def frames(self) -> AsyncGenerator[FeedItem, None]:
        """See `ports.Feed`."""
        server = self._server
        yield Connecting(attempt=1)
        server.advance()
        yield Connected(hello=server.hello())
        revision = server.world.revision
        known = server.known()
        for part in server.snapshot(self._subscription):
            yield Frame(frame=part)
        beat_us = server.world.now_us
        while True:
            await asyncio.sleep(TICK_S)
            world = server.advance()
            change = server.change(revision, self._subscription, known)
            if change is not None:
                revision = change.revision
                yield Frame(frame=change)
            if world.now_us - beat_us >= MONITOR_HEARTBEAT_S * MICROSECONDS_PER_SECOND:
                beat_us = world.now_us
                beat = HeartbeatFrame(revision=revision, server_time=server.server_time)
                yield Frame(frame=beat)


class DemoRunEvents:
    """See `ports.RunEvents`."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server

    async def follow(self, run_id: str, from_seq: int | None) -> AsyncGenerator[RunItem, None]:
        """See `ports.RunEvents`."""
        try:
            run = self._server.log(run_id)
        except ApiError as error:
            yield RunGone(detail=error.error)
            return
        last_seq = run.last_seq if from_seq is None else from_seq
        if 0 < last_seq + 1 < run.first_seq:
            yield Gap(from_seq=last_seq + 1, to_seq=run.first_seq - 1, reason="expired")
        while True:
            self._server.advance()
            events = tuple(run.rising(last_seq))[:LARGEST_BATCH]
            if events:
                last_seq = events[-1].seq
                yield EventBatch(events=events)
            elif isinstance(run, SimRun) and run.ended:
                yield RunStatus(status=run.status, last_seq=run.last_seq, exit_code=run.exit_code)
                return
            elif isinstance(run, LoginLog) and run.ended:
                yield RunStatus(status=run.status, last_seq=run.last_seq)
                return
            else:
                await asyncio.sleep(TICK_S)
                run = self._server.log(run_id) if isinstance(run, LoginLog) else run
