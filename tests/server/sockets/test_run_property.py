"""Every event of a run reaches each of its readers once and in order, whatever happens."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runwatch_server import retention
from runwatch_server.api.events import gap_of
from runwatch_server.fanout import frames, pages, ring
from runwatch_server.fanout.stream import Follower
from runwatch_server.hub import Hub
from runwatch_server.storage.protocols import EventQuery
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import (
    EventFrame,
    EventsFrame,
    GapFrame,
    RunFrame,
    RunHeartbeatFrame,
    StatusFrame,
)
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import VIEWER, FakeWire, HeldReader
from tests.server.sockets.virtual import VirtualLoop

FRAMES: msgspec.json.Decoder[Any] = msgspec.json.Decoder(RunFrame)
RUN = "run-000000000001"


class Reading:
    """One reader: what it got over all its sockets."""

    def __init__(self, fleet: Fleet, seq: int, *, raw: bool, batch: bool) -> None:
        self.fleet = fleet
        self.first = self.seq = seq
        self.raw = raw
        self.batch = batch
        self.got: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.ended = False

    def read(self, wire: FakeWire) -> None:
        while wire.payloads:
            self.take(FRAMES.decode(wire.payloads.popleft()))

    def take(self, frame: Any) -> None:
        assert not self.ended, "a frame after the status"
        match frame:
            case EventFrame():
                assert not self.batch
                self._event(frame.data)
            case EventsFrame():
                assert self.batch
                assert frame.data
                for event in frame.data:
                    self._event(event)
            case GapFrame():
                assert frame.data.from_seq == self.seq + 1
                self.gaps.append((frame.data.from_seq, frame.data.to_seq))
                self.seq = frame.data.to_seq
            case RunHeartbeatFrame():
                assert self.batch
                assert frame.data.last_seq == self.seq, "not all up to there was delivered"
            case StatusFrame():
                assert frame.data.last_seq == self.seq
                self.ended = True
            case _:
                raise AssertionError(frame)

    def _event(self, event: Any) -> None:
        assert event.seq > self.seq, "not rising, or twice"
        assert (event.raw is not None) == self.raw
        self.seq = event.seq
        self.got.append(event.seq)


class Seat:
    def __init__(self, reading: Reading, wire: FakeWire, follower: Follower) -> None:
        self.reading = reading
        self.wire = wire
        self.follower = follower


class Following(RuleBasedStateMachine):
    """One run that grows, is cut by retention, ends, and may be deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.fleet = Fleet()
        self.reader = HeldReader(self.fleet.store)
        self.seats: list[Seat] = []
        self.gone: list[Reading] = []
        self.numbers: list[int] = []
        self.removed: set[int] = set()
        self.over = False
        self.deleted = False

        async def make() -> Hub:
            return Hub(
                reader=self.reader,
                projection=self.fleet.projection,
                clock=self.fleet.clock,
                settings=ServerSettings(),
                store_id=self.fleet.store.store_id,
                version="0",
            )

        self.hub = self.loop.finish(make())

    @initialize(events=st.integers(0, 9))
    def begin(self, events: int) -> None:
        self.fleet.write(self.fleet.making(status="running"))
        if events:
            self.append(events, hole=0, prompt=True)

    @precondition(lambda self: not self.over)
    @rule(count=st.integers(1, 6), hole=st.sampled_from((0, 0, 3)), prompt=st.booleans())
    def append(self, count: int, hole: int, prompt: bool) -> None:
        self._append(count, hole, status=None)
        if prompt:
            self.publish_all()

    @precondition(lambda self: not self.over and len(self.numbers) > 2)
    @rule(prompt=st.booleans())
    def end(self, prompt: bool) -> None:
        self.over = True
        self._append(1, 0, status="done")
        if prompt:
            self.publish_all()

    @precondition(lambda self: self.over and not self.deleted)
    @rule()
    def delete(self) -> None:
        self.deleted = True
        self.fleet.write(self.fleet.deleting(RUN))

    @precondition(lambda self: self.numbers and not self.deleted)
    @rule(count=st.integers(1, 5))
    def expire(self, count: int) -> None:
        """Retention takes the oldest events, of a run that goes on too."""
        last = self.numbers[min(count, len(self.numbers)) - 1]

        def work(tx: Any) -> None:
            row = tx.runs.get(RUN)
            assert row is not None
            assert retention.remove_events(tx, row, limit=count) == min(count, len(self.numbers))

        self.fleet.write(work)
        self.removed |= {number for number in self.numbers if number <= last}
        self.numbers = [number for number in self.numbers if number > last]

    @precondition(lambda self: not self.deleted)
    @rule(
        after=st.integers(0, 30),
        limit=st.integers(1, 9),
        form=st.sampled_from(("after_seq", "before_seq", "tail")),
    )
    def page(self, after: int, limit: int, form: str) -> None:
        """A page says what it has and what is gone; together nothing is missing."""
        position: dict[str, Any] = {form: True if form == "tail" else after}
        query = EventQuery(run_id=RUN, limit=limit, **position)
        with self.fleet.store.read() as tx:
            row = tx.runs.get(RUN)
            assert row is not None
            events = tx.events.page(query).events
        got = [event.seq for event in events]
        gap = gap_of(row, query, events)
        gone = set(range(gap.from_seq, gap.to_seq + 1)) if gap else set()
        assert not gone or gone & self.removed, "a gap over holes alone"
        assert not gone & set(self.numbers), "a gap over events that are still there"
        if form == "after_seq":
            wanted = [number for number in self.numbers if number > after][:limit]
            assert {number for number in self.removed if number > after} <= gone
        else:
            below = [n for n in self.numbers if form == "tail" or n < after]
            wanted = below[-limit:]
        assert got == wanted

    @rule()
    def publish(self) -> None:
        commit = self.fleet.next_published()
        if commit is not None:
            self.within(lambda: self.hub.publish(commit))
        self.read_all()

    @rule()
    def publish_together(self) -> None:
        """Several commits in one turn of the event loop, as when it is busy."""

        def publish() -> None:
            while (commit := self.fleet.next_published()) is not None:
                self.hub.publish(commit)

        self.within(publish)
        self.read_all()

    @rule()
    def beat(self) -> None:
        self.within(self.hub.streams.heartbeat)
        self.read_all()

    @rule()
    def serve(self) -> None:
        for _ in range(100):
            if not self.reader.waiting:
                return
            self.look()
            self.answer()

    @rule()
    def look(self) -> None:
        self.reader.look()

    @rule()
    def answer(self) -> None:
        self.within(self.reader.answer)
        self.read_all()

    @precondition(lambda self: len(self.seats) < 5 and not self.deleted)
    @rule(
        raw=st.booleans(),
        batch=st.booleans(),
        from_start=st.booleans(),
        room=st.sampled_from((1, 1_000_000)),
        prompt=st.booleans(),
    )
    def connect(self, raw: bool, batch: bool, from_start: bool, room: int, prompt: bool) -> None:
        seq = 0 if from_start else self.fleet.runs[RUN].last_seq
        self.seat(Reading(self.fleet, seq, raw=raw, batch=batch), room)
        if prompt:
            self.serve()

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4), room=st.sampled_from((1, 2, 1_000_000)))
    def drain(self, which: int, room: int) -> None:
        seat = self.seats[which % len(self.seats)]
        self.within(lambda: seat.wire.give_room(room))
        self.read_all()

    @precondition(lambda self: self.seats and not self.over)
    @rule(which=st.integers(0, 4), commits=st.integers(1, 4))
    def stall(self, which: int, commits: int) -> None:
        self.seats[which % len(self.seats)].wire.room = 0
        for _ in range(commits):
            self._append(3, 0, status=None)
            self.publish_all()

    @precondition(lambda self: self.seats)
    @rule(which=st.integers(0, 4))
    def disconnect(self, which: int) -> None:
        seat = self.seats.pop(which % len(self.seats))
        seat.reading.read(seat.wire)
        self.within(lambda: self.hub.streams.leave(seat.follower))
        seat.wire.close(1006)
        if not seat.reading.ended:
            self.gone.append(seat.reading)

    @precondition(lambda self: self.gone and len(self.seats) < 5 and not self.deleted)
    @rule(room=st.sampled_from((1, 1_000_000)), prompt=st.booleans())
    def come_back(self, room: int, prompt: bool) -> None:
        self.seat(self.gone.pop(), room)
        if prompt:
            self.serve()

    def teardown(self) -> None:
        try:
            self.publish_all()
            for _ in range(60):
                for seat in self.seats:
                    self.within(lambda seat=seat: seat.wire.give_room(1_000_000))
                self.serve()
                self.read_all()
                if not self.reader.waiting:
                    break
            for seat in self.seats:
                self.check(seat)
        finally:
            self.loop.finish(self.hub._owner.stop())
            self.loop.close()
            self.fleet.close()

    def check(self, seat: Seat) -> None:
        reading = seat.reading
        if self.deleted:
            assert seat.wire.closed in {4404, 1000}
            return
        row = self.fleet.runs[RUN]
        assert reading.seq == row.last_seq
        skipped = {seq for first, last in reading.gaps for seq in range(first, last + 1)}
        # Holes in the numbers make no frame; what retention took is got or told as a gap.
        stored = {seq for seq in self.numbers if seq > reading.first}
        assert stored <= set(reading.got) | skipped
        assert len(reading.got) == len(set(reading.got))
        assert not stored & skipped, "a gap over events that are still there"
        for first, last in reading.gaps:
            assert self.removed & set(range(first, last + 1)), "a gap over holes alone"
        missed = {seq for seq in self.removed if seq > reading.first}
        assert missed <= set(reading.got) | skipped, "silence over what was removed"
        assert not set(reading.got) & skipped, "an event that was said to be gone"
        if self.over:
            assert reading.ended
            assert seat.wire.closed == 1000

    # What rules are made of

    def _append(self, count: int, hole: int, status: Any) -> None:
        before = self.fleet.runs[RUN].last_seq
        self.fleet.write(self.fleet.appending(RUN, count, hole=hole, status=status))
        self.numbers += range(before + hole + 1, before + hole + count + 1)

    def publish_all(self) -> None:
        while self.fleet.unpublished:
            self.publish()

    def seat(self, reading: Reading, room: int) -> None:
        wire = FakeWire(room)
        follower = Follower(
            wire, VIEWER, run_id=RUN, seq=reading.seq, raw=reading.raw, batch=reading.batch
        )
        self.seats.append(Seat(reading, wire, follower))
        self.within(lambda: self.hub.streams.join(follower))
        self.read_all()

    def within(self, act: Any) -> None:
        """Do something on the event loop."""

        async def run() -> None:
            act()

        self.loop.finish(run())

    def read_all(self) -> None:
        for seat in self.seats:
            seat.reading.read(seat.wire)


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("part_rows", "ring_bytes"),
    [(500, ring.RUN_BYTES), (2, ring.RUN_BYTES), (2, 600)],
    ids=["whole", "small-parts", "small-ring"],
)
def test_every_reader_gets_every_event_once_and_in_order(
    part_rows: int, ring_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "PART_ROWS", part_rows)
    monkeypatch.setattr(pages, "PART_ROWS", part_rows)
    monkeypatch.setattr(ring, "PART_ROWS", part_rows)
    monkeypatch.setattr(ring.Ring.__init__, "__defaults__", (ring_bytes,))
    run_state_machine_as_test(Following, settings=SETTINGS)
