"""One run that is written and read while something is done to its servers; gives the history."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tests.faults.authors import Author
from tests.faults.doors import Doors
from tests.faults.history import History, violations
from tests.faults.readers import Reader, seen
from tests.processes import ServerProcess

GO_ON_S: Final = 60.0
"""As long may it take until reports are acknowledged again."""
POLL_S: Final = 0.01

Fault = Callable[[int], Awaitable[None]]


def times_of(name: str, few: int) -> int:
    """How often, by an environment variable; a few times where it is not set."""
    return int(os.environ.get(name, few))


def seeded() -> tuple[int, random.Random]:
    """A seed, by ``RUNWATCH_TEST_SEED`` where that is set, and its dice."""
    seed = int(os.environ.get("RUNWATCH_TEST_SEED", random.randrange(2**32)))
    return seed, random.Random(seed)


class Scene:
    """A run with one author and some readers.

    Args:
        source: A server that is asked for what is stored, in the end.
        write_to: Where the author reports.
        read_from: Where the readers come in.
    """

    def __init__(
        self,
        source: ServerProcess,
        *,
        write_to: Doors,
        read_from: Doors,
        readers: int,
        dice: random.Random,
    ) -> None:
        self._source = source
        self._dice = dice
        # For a node that is not there, so that no node takes it.
        self.run_id = source.make_run(["true"], constraints={"node_id": "nowhere"})
        self.author = Author("the author", write_to, self.run_id, dice)
        self.readers = [
            Reader(f"reader {n}", read_from, self.run_id, turn=n, batch=n % 2 == 1)
            for n in range(readers)
        ]

    def play(self, fault: Fault, times: int) -> History:
        """Do it so many times while the run goes on, and let the run end."""
        asyncio.run(self.played(fault, times))
        return self.history()

    def history(self) -> History:
        """So far."""
        stored = [seen(event) for event in self._source.events(self.run_id)]
        readings = [reading for reader in self.readers for reading in reader.readings]
        return History(self.author.written(), stored, readings)

    async def goes_on(self) -> None:
        """Wait until more is acknowledged."""
        before = self.author.acknowledged
        await _until(lambda: self.author.acknowledged > before, GO_ON_S, f"more than {before}")

    async def is_refused(self) -> None:
        """Wait until the author is answered with "not now", or not at all."""
        before = self.author.refused
        await _until(lambda: self.author.refused > before, GO_ON_S, "a refusal")

    async def is_read(self, limit_s: float) -> None:
        """Wait until every reader has what is acknowledged now."""
        now = self.author.acknowledged
        await _until(
            lambda: all(reader.last >= now for reader in self.readers), limit_s, f"{now} to be read"
        )

    async def played(self, fault: Fault, times: int) -> None:
        """`play`, in a loop that does other things beside; `history` comes afterwards."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.author.write(over), name="author")
            for reader in self.readers:
                tasks.create_task(reader.read(), name="reader")
            for number in range(times):
                await self.goes_on()
                await asyncio.sleep(self._dice.uniform(0.0, 0.05))
                await fault(number)
            await self.goes_on()
            over.set()


async def _until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    until_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until_s, f"waited {limit_s} s for {what}"
        await asyncio.sleep(POLL_S)


def check(history: History, seed: int) -> None:
    """Fails the test with every rule that does not hold."""
    assert violations(history) == [], seed


def check_read_by_all(history: History, readers: Sequence[Reader]) -> None:
    """Every reader was told the end: of one that never got through nothing could be wrong."""
    assert all(reader.readings and reader.readings[-1].ended for reader in readers)
    assert len(history.stored) > 0
