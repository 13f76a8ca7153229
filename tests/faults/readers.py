"""A reader of one run over its socket: comes back with the last number it has until the run ends,
and remembers what each connection gave.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.faults.doors import Doors
from tests.faults.history import Reading, Seen

AGAIN_S: Final = 0.03
OPEN_S: Final = 10.0


def content_of(event: Mapping[str, Any]) -> str:
    """What of an event its author decided, as one text."""
    return json.dumps([event["type"], event.get("payload")], sort_keys=True)


def seen(event: Mapping[str, Any]) -> Seen:
    """An event of an answer or a frame (contract 6.1)."""
    return Seen(event["seq"], event["epoch"], content_of(event))


class Reader:
    """One that goes through the doors in turn.

    Args:
        turn: The door it begins with.
        batch: Whether it asks for events in batches.
        after: It asks for what is behind this number.
    """

    def __init__(
        self, name: str, doors: Doors, run_id: str, *, turn: int, batch: bool, after: int = 0
    ) -> None:
        self.readings: list[Reading] = []
        self._name = name
        self._doors = doors
        self._path = f"/ws/runs/{run_id}/events?batch={'true' if batch else 'false'}"
        self._turn = turn
        self.last = after
        """The number of the last event it has."""
        self._after = after
        self._events: list[Seen] = []

    async def read(self) -> None:
        """Until the run is over."""
        while not (self.readings and self.readings[-1].ended):
            ended = False
            self._after, self._events = self.last, []
            try:
                async with connect(
                    f"wss://{self._doors.host(self._turn)}{self._path}&from_seq={self._after}",
                    ssl=self._doors.trusted,
                    proxy=None,
                    additional_headers=self._doors.headers,
                    open_timeout=OPEN_S,
                ) as socket:
                    ended = await self._take(socket)
            except (OSError, TimeoutError, EOFError, InvalidHandshake, WebSocketException):
                pass
            self.hang_up(ended=ended)
            if not ended:
                await asyncio.sleep(AGAIN_S)

    def hang_up(self, *, ended: bool = False) -> None:
        """Remember what the connection gave; the next one goes on behind it."""
        if self._events or ended:
            self.readings.append(Reading(self._name, self._after, tuple(self._events), ended))
        self._events = []
        self._turn += 1

    async def _take(self, socket: ClientConnection) -> bool:
        """Take in what comes; gives whether the run is over."""
        async for message in socket:
            frame = json.loads(message)
            match frame["type"]:
                case "event":
                    came = [frame["data"]]
                case "events":
                    came = frame["data"]
                case "status":
                    return True
                case "gap":
                    raise AssertionError(f"{self._name}: {frame}")
                case _:
                    came = []
            for event in came:
                self._events.append(seen(event))
                self.last = event["seq"]
        return False
