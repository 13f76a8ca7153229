"""Ends, deletions and overlaps of a run's events, in the orders that chance seldom finds."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from runwatch_server.fanout.stream import Follower
from runwatch_server.hub import Hub
from runwatch_shared.settings import ServerSettings
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import VIEWER, FakeWire, HeldReader
from tests.server.sockets.virtual import VirtualLoop

RUN = "run-000000000001"


class Stage:
    """A hub over a fleet of one running run."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.fleet = Fleet()
        self.reader = HeldReader(self.fleet.store)
        self.fleet.write(self.fleet.making(status="running"))

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

    def close(self) -> None:
        self.loop.finish(self.hub._owner.stop())
        self.loop.close()
        self.fleet.close()

    def within(self, act: Callable[[], Any]) -> None:
        async def run() -> None:
            act()

        self.loop.finish(run())

    def append(self, count: int, **more: Any) -> None:
        self.fleet.write(self.fleet.appending(RUN, count, **more))

    def publish(self) -> None:
        """Everything, in one turn of the loop."""

        def act() -> None:
            while (commit := self.fleet.next_published()) is not None:
                self.hub.publish(commit)

        self.within(act)

    def serve(self) -> None:
        while self.reader.waiting:
            self.reader.look()
            self.within(self.reader.answer)

    def follow(
        self, seq: int = 0, room: int = 1_000_000, **form: bool
    ) -> tuple[FakeWire, Follower]:
        wire = FakeWire(room)
        form = {"raw": False, "batch": False, **form}
        follower = Follower(wire, VIEWER, run_id=RUN, seq=seq, **form)
        self.within(lambda: self.hub.streams.join(follower))
        return wire, follower


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def told(wire: FakeWire) -> list[Any]:
    """What a wire got: numbers of events, and the type of anything else."""
    found: list[Any] = []
    while wire.payloads:
        frame = msgspec.json.decode(wire.payloads.popleft())
        match frame["type"]:
            case "event":
                found.append(frame["data"]["seq"])
            case "events":
                found.append([event["seq"] for event in frame["data"]])
            case "gap":
                found.append((frame["data"]["from_seq"], frame["data"]["to_seq"]))
            case kind:
                found.append(kind)
    return found


def test_an_end_that_the_store_tells_first_waits_for_the_last_events(stage: Stage) -> None:
    stage.append(2)
    stage.publish()
    lagging, _ = stage.follow()
    stage.serve()
    stage.append(2)
    lagging.room = 0
    stage.publish()
    stage.append(2, status="done")  # on disk, and nobody was told
    first, _ = stage.follow()
    stage.serve()
    assert told(first) == [1, 2, 3, 4, 5, 6, "status"]
    stage.within(lambda: lagging.give_room(100))
    assert told(lagging) == [1, 2, 3, 4]
    assert lagging.closed is None
    stage.publish()
    assert told(lagging) == [5, 6, "status"]
    assert lagging.closed == 1000


def test_events_that_the_store_told_already_are_dropped_from_the_frames_of_all(
    stage: Stage,
) -> None:
    live, _ = stage.follow(batch=True)
    stage.serve()
    stage.append(2)
    late, _ = stage.follow(batch=True)
    stage.serve()
    stage.append(2)
    stage.publish()
    assert told(live) == [[1, 2, 3, 4]]
    assert told(late) == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("seq", "replay"), [(0, [1, 2, 3]), (3, [])])
def test_a_run_that_is_over_is_replayed_told_and_closed(
    stage: Stage, seq: int, replay: list[int]
) -> None:
    stage.append(3, status="failed")
    stage.publish()
    wire, follower = stage.follow(seq)
    stage.serve()
    assert told(wire) == [*replay, "status"]
    assert (wire.closed, follower.code) == (1000, 1000)


def test_who_takes_nothing_gets_the_status_when_there_is_room(stage: Stage) -> None:
    wire, _ = stage.follow()
    stage.serve()
    wire.room = 1
    stage.append(1, status="done")
    stage.publish()
    assert told(wire) == [1]
    assert wire.closed is None
    stage.within(lambda: wire.give_room(1))
    assert told(wire) == ["status"]
    assert wire.closed == 1000


def test_a_deleted_run_closes_with_4404_for_readers_live_and_reading(stage: Stage) -> None:
    live, _ = stage.follow()
    stage.serve()
    reading, _ = stage.follow()
    stage.fleet.write(stage.fleet.deleting(RUN))
    stage.serve()
    assert reading.closed == 4404
    stage.publish()
    assert live.closed == 4404


def test_nothing_is_kept_in_memory_while_everybody_is_live(stage: Stage) -> None:
    stage.follow()
    slow, _ = stage.follow()
    stage.serve()
    for _ in range(5):
        stage.append(10)
        stage.publish()
    assert stage.hub.streams.backlog() == (0, 0)
    assert stage.hub.streams.ring_bytes == 0
    slow.room = 0
    stage.append(10)
    stage.publish()
    assert stage.hub.streams.backlog() == (10, 10)
    assert stage.hub.streams.ring_bytes > 0
    stage.within(lambda: slow.give_room(100))
    assert stage.hub.streams.backlog() == (0, 0)
    assert stage.hub.streams.ring_bytes == 0


def test_a_reader_that_sleeps_costs_one_ring_and_reads_the_rest_from_the_store(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, _ = stage.follow()
    stage.serve()
    wire.room = 0
    for _ in range(60):
        stage.append(10, size=10_000)
        stage.publish()
    assert stage.hub.streams.ring_bytes <= 4 * 1024 * 1024
    for _ in range(200):
        stage.within(lambda: wire.give_room(1))
        stage.serve()
    assert told(wire) == list(range(1, 601))


def test_heartbeats_say_up_to_where_everything_was_delivered(stage: Stage) -> None:
    wire, _ = stage.follow(batch=True)
    plain, _ = stage.follow()
    stage.serve()
    stage.append(3)
    stage.within(stage.hub.streams.heartbeat)
    stage.publish()
    stage.within(stage.hub.streams.heartbeat)
    frames = [msgspec.json.decode(payload) for payload in wire.payloads]
    beats = [frame["data"]["last_seq"] for frame in frames if frame["type"] == "heartbeat"]
    assert beats == [0, 3]
    assert told(plain) == [1, 2, 3]


class CostlyWire(FakeWire):
    """A wire that takes ten milliseconds of the event loop for what it is given."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self.writes = 0

    def offer(self, frames: bytes) -> bool:
        self.writes += 1
        self._stage.fleet.clock.advance(0.01)
        return super().offer(frames)


def test_sending_rests_as_long_as_it_took_and_then_sends_all_together(stage: Stage) -> None:
    wire = CostlyWire(stage)
    follower = Follower(wire, VIEWER, run_id=RUN, seq=0, raw=False, batch=False)
    stage.within(lambda: stage.hub.streams.join(follower))
    stage.serve()
    stage.append(1)
    stage.publish()
    assert told(wire) == [1]
    for _ in range(5):
        stage.append(1)
        stage.publish()
    assert told(wire) == []
    stage.loop.pass_time(0.02)
    assert told(wire) == [2, 3, 4, 5, 6]
    assert wire.writes == 2
