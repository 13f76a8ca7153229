"""`monitor-tui` as it is, with a scripted network in the place of the real one.

`python -m tests.benchmarks._scripted_console ROWS CHANGES_PER_S`: a fleet of so many rows; a
SIGUSR1 begins or ends the changes, one row each, half of them among the rows in sight.
"""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from runwatch_console import cli

if TYPE_CHECKING:
    from runwatch_console.ports import Connection, FeedItem
    from runwatch_shared.models import WorkflowSummary

IN_SIGHT = 40
SEED = 20261123


class LiveFeed:
    """A snapshot, then changes at an even pace while they are wanted."""

    def __init__(self, rows: int, changes_per_s: float) -> None:
        self.rows = rows
        self.pause_s = 1 / changes_per_s
        self.wanted = asyncio.Event()

    async def frames(self) -> "AsyncIterator[FeedItem]":
        """The fleet, then what happens to it."""
        from runwatch_console.ports import Connected, Frame
        from tests.console import records

        rows = [
            records.summary(f"run-{n:04x}00000000", name=f"load-{n}", age_s=600.0 + n)
            for n in range(self.rows)
        ]
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._turn)
        yield Connected(hello=records.hello())
        yield Frame(frame=records.snapshot(rows, [records.node()], total=len(rows)))
        chance = random.Random(SEED)
        due_s, revision = loop.time(), 1
        while True:
            if not self.wanted.is_set():
                await self.wanted.wait()
                due_s = loop.time()
            due_s += self.pause_s
            await asyncio.sleep(due_s - loop.time())
            revision += 1
            frame = records.change(
                [self._changed(rows, chance, revision)], previous=revision - 1, revision=revision
            )
            yield Frame(frame=frame)

    def _changed(
        self, rows: "list[WorkflowSummary]", chance: random.Random, revision: int
    ) -> "WorkflowSummary":
        from tests.console import records

        # The oldest stand at the top.
        place = chance.randrange(IN_SIGHT if revision % 2 else self.rows)
        index = self.rows - 1 - place
        return records.summary(
            rows[index].id,
            name=rows[index].name,
            age_s=600.0 + index,
            event_count=revision,
            last_seq=revision,
            activity_text=f"Edit src/part_{revision}.py",
            revision=revision,
        )

    def _turn(self) -> None:
        if self.wanted.is_set():
            self.wanted.clear()
        else:
            self.wanted.set()

    def retry_now(self) -> None:
        """Nothing waits."""


def main(rows: int, changes_per_s: float) -> int:
    """One start of the console."""

    def connect(context: object, *, low_bandwidth: bool) -> "Connection":
        from runwatch_console.ports import Connection
        from tests.console.scripted import ScriptedApi, ScriptedRunEvents

        return Connection(
            feed=LiveFeed(rows, changes_per_s), run_events=ScriptedRunEvents(), api=ScriptedApi()
        )

    cli._connect = connect
    return cli.run([])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
