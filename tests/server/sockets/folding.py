"""What a client of the delta feed makes of its frames, checking every rule a frame must keep."""

from typing import Any

import msgspec

from runwatch_server.fanout.subscriptions import Subscription
from runwatch_server.matching import conditions_of, matches
from runwatch_shared.wire import (
    ChangeFrame,
    HeartbeatFrame,
    HelloFrame,
    MonitorFrame,
    ResyncFrame,
    SnapshotFrame,
)
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import FakeWire

FRAMES: msgspec.json.Decoder[Any] = msgspec.json.Decoder(MonitorFrame)


class Client:
    """A fold. ``strict`` also compares it with the truth at the revision of every frame."""

    def __init__(self, fleet: Fleet, subscription: Subscription, *, strict: bool) -> None:
        self.fleet = fleet
        self.subscription = subscription
        self.strict = strict
        self.rows: dict[str, int] = {}
        """Revision of each workflow's row."""
        self.matching = 0
        self.revision: int | None = None
        """Of the last snapshot, change or heartbeat."""
        self.resumable: int | None = None
        self.complete = False
        self.expecting_part = 0
        self.stats = 0
        self.resyncs: list[str] = []

    def connected(self) -> None:
        """A new socket; what is known stays until `hello` says otherwise."""
        self.expecting_part = 0
        self.greeted = False
        self.complete = False

    def read(self, wire: FakeWire) -> None:
        while wire.payloads:
            self.take(FRAMES.decode(wire.payloads.popleft()))

    def take(self, frame: Any) -> None:
        match frame:
            case HelloFrame():
                assert not self.greeted
                self.greeted = True
                if not frame.resumed:
                    self._forget()
                else:
                    self.revision = self.resumable
            case ResyncFrame():
                self.resyncs.append(frame.reason)
                self._forget()
            case SnapshotFrame():
                self._snapshot(frame)
            case ChangeFrame():
                self._change(frame)
            case HeartbeatFrame():
                self._heartbeat(frame)
            case _:
                pass

    def expected(self, revision: int) -> dict[str, int]:
        tests = conditions_of(self.subscription.query)
        rows = self.fleet.truth[revision].values()
        return {row.id: row.revision for row in rows if matches(tests, row)}

    def _forget(self) -> None:
        self.rows.clear()
        self.revision = self.resumable = None
        self.complete = False

    def _snapshot(self, frame: SnapshotFrame) -> None:
        if frame.sub != self.subscription.sub:
            return
        assert self.greeted
        if frame.part == 1:
            self._forget()
        assert frame.part == (1 if frame.part == 1 else self.expecting_part)
        assert self.revision in {None, frame.revision}
        self.expecting_part = frame.part + 1
        self.revision = frame.revision
        self.rows.update({row.id: row.revision for row in frame.workflows or ()})
        if frame.last:
            assert frame.total is not None
            self.matching = frame.total
            self._whole(frame.revision)
        self.stats += frame.stats is not None

    def _change(self, frame: ChangeFrame) -> None:
        if frame.sub != self.subscription.sub:
            return
        assert frame.previous == self.revision, "a change does not follow the frame before"
        assert frame.revision >= frame.previous
        changed = frame.workflows
        if changed is not None:
            upserted = {row.id for row in changed.upsert}
            removed = {key.id for key in changed.remove}
            assert not upserted & removed
            for row in changed.upsert:
                assert row.revision > frame.previous, "a row that was sent already"
                self.rows[row.id] = row.revision
            for row_id in removed:
                self.rows.pop(row_id, None)
        self.matching += frame.entered - frame.left
        if frame.total is not None:
            self.matching = frame.total
        self.stats += frame.stats is not None
        self._whole(frame.revision)

    def _heartbeat(self, frame: HeartbeatFrame) -> None:
        assert self.greeted
        if self.revision is None or not self.complete:
            return
        assert frame.revision >= self.revision, "a heartbeat behind the last frame"
        self._whole(frame.revision)

    def _whole(self, revision: int) -> None:
        self.revision = self.resumable = revision
        self.complete = True
        if self.strict:
            assert self.rows == self.expected(revision)
            assert self.matching == len(self.rows)
