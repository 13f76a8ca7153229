"""Processes of one node that want to write the same run, step by step as a schedule has it.

Over the domain, so that a step is one work in one transaction; who runs it is up to the test.
"""

import random
from collections.abc import Callable
from typing import Final

import msgspec

from runwatch_server import appends, leases
from runwatch_server.principals import Principal
from runwatch_server.storage.protocols import Outcome, WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import RunId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import ClaimRequest, EventBatch, EventInput, EventsAnswer
from tests.faults.history import Seen, Written
from tests.server.domain.making import NOW_US

NODE: Final = "n1"
MOST_AT_ONCE: Final = 3
BY: Final = Principal(kind="node_token", scope="node", id="n", name="nodes")

Work = Callable[[WriteTx], object]


class Racer:
    """Claims by the epoch it knows, then reports; every fourth answer never reaches it.

    Args:
        knows: The epoch it claims with; None as where it knows of no holder before it.
    """

    def __init__(
        self,
        name: str,
        run_id: RunId,
        settings: ServerSettings,
        dice: random.Random,
        *,
        knows: int | None,
    ) -> None:
        self.name = name
        self.fenced = False
        """Whether it says no more: another one writes, or it was refused what nobody may be."""
        self.failed: BaseException | None = None
        """The latter refusal."""
        self.epoch: int | None = None
        """The one it was given."""
        self._run_id = run_id
        self._settings = settings
        self._dice = dice
        self._knows = knows
        self._acknowledged = 0
        self._sent: dict[tuple[int, int], Seen] = {}
        self._answered: set[Seen] = set()
        self._batch: list[Seen] = []

    def step(self) -> Work:
        """Its next work, or its last one again where no answer to that came."""
        if self.epoch is None:
            request = ClaimRequest(node_id=NODE, process_id=self.name, epoch=self._knows)
            return lambda tx: leases.claim(
                tx, self._run_id, request, by=BY, settings=self._settings
            )
        if not self._batch:
            first = self._acknowledged + 1
            count = self._dice.randint(1, MOST_AT_ONCE)
            self._batch = [
                Seen(seq, self.epoch, f"{self.name} {seq}") for seq in range(first, first + count)
            ]
            self._sent.update({(each.seq, each.epoch): each for each in self._batch})
        body = EventBatch(
            epoch=self.epoch,
            events=[
                EventInput(
                    seq=each.seq,
                    type="message",
                    timestamp=format_time(NOW_US),
                    payload=msgspec.Raw(msgspec.json.encode({"content": each.content})),
                )
                for each in self._batch
            ],
        )
        batch = appends.prepare(body, limits=self._settings.limits, now_us=NOW_US)
        return lambda tx: appends.append(tx, self._run_id, batch, by=BY, settings=self._settings)

    def told(self, outcome: Outcome) -> None:
        """The answer to its step."""
        if self._dice.random() < 0.25:
            return
        match outcome.error:
            case None:
                pass
            case RefusedError(code="lease_lost" | "not_claimable"):
                self.fenced = True
                return
            case error:
                self.fenced = True
                self.failed = error
                return
        match outcome.value:
            case leases.Claim(lease=lease, next_seq=next_seq):
                self.epoch = lease.epoch
                self._acknowledged = next_seq - 1
            case EventsAnswer():
                self._answered.update(self._batch)
                self._acknowledged = self._batch[-1].seq
                self._batch = []

    def written(self) -> list[Written]:
        return [
            Written(self.name, event, acknowledged=event in self._answered)
            for event in self._sent.values()
        ]
