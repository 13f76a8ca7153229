"""`monitor-tui` as it is, with a scripted network in the place of the real one.

`python -m tests.benchmarks._scripted_console ROWS CHANGES_PER_S`: a fleet of so many rows, each run
with a log of `LOG_EVENTS`; a SIGUSR1 begins or ends the changes, one row each, half of them among
the rows in sight. Frames and pages are made of bytes by the decoders of the wire, as real ones are.
"""

import asyncio
import itertools
import random
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from runwatch_console import cli

if TYPE_CHECKING:
    from runwatch_console.ports import Api, Connection, FeedItem
    from runwatch_shared.models import WorkflowSummary
    from runwatch_shared.wire import SnapshotFrame

IN_SIGHT = 40
SEED = 20261123
CHANGES = 4000
"""Prepared before the first is sent, so that making them is no part of what is measured."""
LOG_EVENTS = 100_000
HEARTBEAT_S = 5.0


class LiveFeed:
    """A snapshot and heartbeats, and changes at an even pace while they are wanted."""

    def __init__(self, rows: int, changes_per_s: float) -> None:
        self.rows = rows
        self.pause_s = 1 / changes_per_s if changes_per_s else float("inf")
        self.wanted = asyncio.Event()

    async def frames(self) -> "AsyncIterator[FeedItem]":
        """The fleet, then what happens to it."""
        import msgspec

        from runwatch_console.ports import Connected, Frame
        from runwatch_shared.wire import ChangeFrame, HeartbeatFrame
        from tests.console import records

        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        loop.add_signal_handler(signal.SIGUSR1, self._turn)
        changes = itertools.cycle(self._changes() if self.pause_s < float("inf") else ())
        decoder = msgspec.json.Decoder(ChangeFrame)
        yield Connected(hello=records.hello())
        yield Frame(frame=self._snapshot())
        due_s = loop.time()
        while True:
            if not self.wanted.is_set():
                try:
                    await asyncio.wait_for(self.wanted.wait(), HEARTBEAT_S)
                except TimeoutError:
                    now = records.at(begun_s - loop.time())
                    yield Frame(frame=HeartbeatFrame(revision=1, server_time=now))
                    continue
                due_s = loop.time()
            due_s += self.pause_s
            await asyncio.sleep(due_s - loop.time())
            now = records.at(begun_s - loop.time())
            frame = decoder.decode(next(changes))
            yield Frame(frame=msgspec.structs.replace(frame, server_time=now))

    def _snapshot(self) -> "SnapshotFrame":
        import msgspec

        from runwatch_shared.wire import SnapshotFrame
        from tests.console import records

        rows = [_row(index) for index in range(self.rows)]
        frame = records.snapshot(rows, [records.node()], total=len(rows))
        return msgspec.json.decode(msgspec.json.encode(frame), type=SnapshotFrame)

    def _changes(self) -> list[bytes]:
        import msgspec

        from tests.console import records

        chance = random.Random(SEED)
        made = []
        for revision in range(2, CHANGES + 2):
            # The oldest stand at the top.
            place = chance.randrange(min(IN_SIGHT, self.rows) if revision % 2 else self.rows)
            row = _row(
                self.rows - 1 - place,
                event_count=revision,
                last_seq=revision,
                activity_text=f"Edit src/part_{revision}.py",
                revision=revision,
            )
            made.append(
                msgspec.json.encode(records.change([row], previous=revision - 1, revision=revision))
            )
        return made

    def _turn(self) -> None:
        if self.wanted.is_set():
            self.wanted.clear()
        else:
            self.wanted.set()

    def retry_now(self) -> None:
        """Nothing waits."""


def run_id_of(index: int) -> str:
    """Id of a row's run."""
    return f"run-{index:04x}00000000"


def _row(index: int, **facts: Any) -> "WorkflowSummary":
    from tests.console import records

    return records.summary(run_id_of(index), name=f"load-{index}", age_s=600.0 + index, **facts)


def long_logs() -> "Api":
    """An API in which each run has a long log; a page is made when it is asked for."""
    import msgspec

    from runwatch_console.ports import EventQuery
    from runwatch_shared.models import WorkflowDetail
    from runwatch_shared.wire import EventViewPage
    from tests.console import records
    from tests.console.scripted import ScriptedApi

    class LongLogs(ScriptedApi):
        async def workflow(self, run_id: str) -> WorkflowDetail:
            return records.detail(records.summary(run_id, last_seq=LOG_EVENTS))

        async def events(self, run_id: str, query: EventQuery) -> EventViewPage:
            if query.tail or query.before_seq is not None:
                last = LOG_EVENTS if query.before_seq is None else query.before_seq - 1
                first = max(1, last - query.limit + 1)
            else:
                first = (query.after_seq or 0) + 1
                last = min(LOG_EVENTS, first + query.limit - 1)
            page = records.page(
                [records.event(seq, run_id=run_id) for seq in range(first, last + 1)],
                has_before=first > 1,
                has_after=last < LOG_EVENTS,
                total=LOG_EVENTS,
            )
            return msgspec.json.decode(msgspec.json.encode(page), type=EventViewPage)

    return LongLogs()


def main(rows: int, changes_per_s: float) -> int:
    """One start of the console."""

    def connect(*_: object, **__: object) -> "Connection":
        from runwatch_console.ports import Connection
        from tests.console.scripted import ScriptedRunEvents

        return Connection(
            feed=LiveFeed(rows, changes_per_s), run_events=ScriptedRunEvents(), api=long_logs()
        )

    cli._connect = connect
    return cli.run([])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
