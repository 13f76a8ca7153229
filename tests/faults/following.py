"""The history of a run that a real node reports: sockets that follow it through whatever is done to
node and server, and who must have said what. Checked by `history`, as every history is.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from tests.faults.doors import doors_of
from tests.faults.history import History, Reading, Written, violations
from tests.faults.readers import Reader, seen
from tests.processes import ServerProcess

LIMIT_S: Final = 120.0

Event = Mapping[str, Any]


def reading_of(events: Sequence[Event], *, after: int = 0) -> Reading:
    """What somebody was shown while the run went on."""
    return Reading("whoever looked", after, [seen(event) for event in events], ended=False)


def said_by_nodes(events: Sequence[Event]) -> list[Written]:
    """Stored events by who wrote them: the node that an agent's line begins with, else the one that
    said last that it started the run.
    """
    found = []
    at: str | None = None
    for event in events:
        payload = event["payload"]
        if event["type"] == "run_started":
            at = payload["node_id"]
        named = payload.get("stdout", "").partition(" ")[0] or at
        found.append(Written(named or "the server", seen(event), acknowledged=True))
    return found


def check_events(
    events: Sequence[Event],
    told: object = None,
    *,
    written: Sequence[Written] | None = None,
    readings: Sequence[Reading] = (),
) -> None:
    """Fails with every rule that does not hold of a run, and what else is to be told."""
    history = History(written, [seen(event) for event in events], readings)
    assert violations(history) == [], told


class Following:
    """Readers of one run, in a thread of their own."""

    def __init__(self, server: ServerProcess, run_id: str, readers: int) -> None:
        doors = doors_of([server])
        self._readers = [
            Reader(f"reader {n}", doors, run_id, turn=n, batch=n % 2 == 1) for n in range(readers)
        ]
        self._failed: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._reading = self._loop.create_task(self._read())
        self._thread = threading.Thread(target=self._run, name="readers", daemon=True)
        self._thread.start()

    def readings(self) -> list[Reading]:
        """Of all connections, once every reader was told the end of the run."""
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "a reader was not told the end"
        if self._failed is not None:
            raise self._failed
        assert all(reader.readings[-1].ended for reader in self._readers)
        return [reading for reader in self._readers for reading in reader.readings]

    def leave(self) -> None:
        """End the readers, wherever they are."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._reading.cancel)
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._reading)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - whoever asks for the readings raises it
            self._failed = error
        finally:
            self._loop.close()

    async def _read(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for reader in self._readers:
                tasks.create_task(reader.read(), name="reader")


@contextmanager
def following(server: ServerProcess, run_id: str, readers: int = 2) -> Iterator[Following]:
    """Readers that follow a run as long as the block lasts."""
    found = Following(server, run_id, readers)
    try:
        yield found
    finally:
        found.leave()
