"""Telemetry taken straight into a store, one work at a time."""

from typing import Self

import msgspec

from runwatch_server.otlp import ending, json_body, sessions
from runwatch_server.otlp.intake import Part, taken_apart
from runwatch_server.otlp.records import Signal
from runwatch_server.otlp.row import TelemetryRow
from runwatch_server.otlp.sessions import Taken
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow
from runwatch_server.storage.protocols import Query
from tests.server.domain.keeping import OPERATOR, Keeper
from tests.server.otlp.making import SESSION, START_NS, Body

SECOND_US = 1_000_000


class Telemetry(Keeper):
    """A keeper whose clock shows ten minutes after the first record of `making`."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = START_NS // 1000 + 600 * SECOND_US

    def take(self, signal: Signal, body: Body, *, by: Principal = OPERATOR) -> list[Taken]:
        """Take a body, a session after the other."""
        batch = json_body.DECODERS[signal](msgspec.json.encode(body))
        return [self._take(part, by) for part in taken_apart(batch, keep=False).parts.values()]

    def _take(self, part: Part, by: Principal) -> Taken:
        return self.write(lambda tx: sessions.take(tx, part, by=by, settings=self.settings))

    def sweep(self, seconds: float = 0) -> None:
        """Let time pass and look at the sessions that are due."""
        self.wait(seconds)
        self.write(lambda tx: ending.sweep(tx, settings=self.settings))

    def runs(self) -> list[RunRow]:
        """All runs, oldest first."""
        query = Query(sort="start_time", descending=False, limit=1000)
        return self.read(lambda tx: tx.runs.page(query))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.store.close()

    def session(self, agent_type: str = "claude-code") -> TelemetryRow:
        row = self.write(lambda tx: tx.telemetry.get(agent_type, SESSION))
        assert row is not None
        return row
