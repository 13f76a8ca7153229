"""An author of one run over HTTP: it reports until it is told to end, and remembers every answer.

It is what a node's reporter is (contract 9.1), without an agent: a batch is sent again, unchanged,
until it is answered.
"""

import asyncio
import random
from typing import Any, Final

import httpx

from tests.faults.doors import Doors
from tests.faults.history import Seen, Written
from tests.faults.readers import content_of

AT: Final = "2026-11-23T10:31:22.000000Z"
MOST_AT_ONCE: Final = 8
LIMIT_S: Final = 10.0
AGAIN_S: Final = 0.03
PACE_S: Final = 0.005
PASSING: Final = {429, 503}
"""Answers that say: not now. Anything else but success is a fault of the test or the server."""


class Author:
    """Of a run that nobody claimed its first report makes one without a node, with epoch 1.

    Args:
        doors: Each try goes to the next.
        epoch: What a claim gave; None where nobody claimed.
        first: The number it begins with.
    """

    def __init__(
        self,
        name: str,
        doors: Doors,
        run_id: str,
        dice: random.Random,
        *,
        epoch: int | None = None,
        first: int = 1,
    ) -> None:
        self.acknowledged = first - 1
        """The last number that an answer to it named, or that was there before it."""
        self.fenced = False
        """Whether it was told that another writes now; it says no more then."""
        self.refused = 0
        """Tries that were answered with "not now" or not at all."""
        self.reasons: set[str] = set()
        """The codes of those answers."""
        self._name = name
        self._doors = doors
        self._run_id = run_id
        self._dice = dice
        self._epoch = epoch
        self._turn = 0
        self._sent: dict[int, Seen] = {}

    async def write(self, over: asyncio.Event) -> None:
        """Report until told that it is over, then the end of the run."""
        async with httpx.AsyncClient(
            verify=self._doors.trusted,
            headers=self._doors.headers,
            trust_env=False,
            timeout=LIMIT_S,
        ) as client:
            while not over.is_set() and not self.fenced:
                first = self.acknowledged + 1
                count = self._dice.randint(1, MOST_AT_ONCE)
                await self._report(
                    client,
                    [
                        _event(seq, "message", {"content": f"{self._name} {seq}"})
                        for seq in range(first, first + count)
                    ],
                )
                await asyncio.sleep(PACE_S)
            if self.fenced:
                return
            last = _event(self.acknowledged + 1, "run_completed", {"status": "done"})
            await self._report(client, [last])

    def written(self) -> list[Written]:
        """All that was sent so far."""
        return [
            Written(self._name, event, acknowledged=event.seq <= self.acknowledged)
            for event in self._sent.values()
        ]

    async def _report(self, client: httpx.AsyncClient, events: list[dict[str, Any]]) -> None:
        for event in events:
            seen = Seen(event["seq"], self._epoch or 1, content_of(event))
            self._sent[seen.seq] = seen
        body = (
            {"events": events} if self._epoch is None else {"epoch": self._epoch, "events": events}
        )
        while True:
            self._turn += 1
            url = f"https://{self._doors.host(self._turn)}/api/v1/runs/{self._run_id}/events"
            try:
                answer = await client.post(url, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in {200, 201}:
                assert answer.json()["last_seq"] == events[-1]["seq"], answer.text
                self.acknowledged = events[-1]["seq"]
                return
            if answer is not None:
                code = answer.json()["code"]
                if code == "lease_lost":
                    self.fenced = True
                    return
                assert answer.status_code in PASSING, answer.text
                self.reasons.add(code)
            self.refused += 1
            await asyncio.sleep(AGAIN_S)


def _event(seq: int, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"seq": seq, "type": kind, "timestamp": AT, "payload": payload}
