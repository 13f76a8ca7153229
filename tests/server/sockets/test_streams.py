"""Ends, deletions and overlaps of a run's events, in the orders that chance seldom finds."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from runwatch_server import retention
from runwatch_server.fanout.stream import Follower
from runwatch_shared.errors import StoreUnavailableError
from runwatch_shared.settings import Limits
from tests.server.sockets.hubs import HubOverFleet
from tests.server.sockets.peers import VIEWER, FakeWire

RUN = "run-000000000001"


class Stage(HubOverFleet):
    """A hub over a fleet of one running run."""

    def __init__(self) -> None:
        super().__init__(Limits())
        self.fleet.write(self.fleet.making(status="running"))

    def append(self, count: int, **more: Any) -> None:
        self.fleet.write(self.fleet.appending(RUN, count, **more))

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


def reads(stage: Stage) -> int:
    """How many reads of the store it takes until nobody waits for one."""
    count = 0
    while stage.reader.waiting:
        count += 1
        stage.reader.look()
        stage.within(stage.reader.answer)
    return count


def test_a_thousand_readers_at_one_place_take_the_reads_of_one(stage: Stage) -> None:
    for _ in range(7):
        stage.append(300)
    stage.publish()
    wires = [stage.follow(batch=True)[0] for _ in range(1000)]
    assert reads(stage) == 5
    for wire in wires:
        batches = [batch for batch in told(wire) if isinstance(batch, list)]
        assert [seq for batch in batches for seq in batch] == list(range(1, 2101))


def test_readers_that_began_elsewhere_come_to_the_same_pages(stage: Stage) -> None:
    for _ in range(7):
        stage.append(300)
    stage.publish()
    stage.follow()
    reads(stage)
    late = [stage.follow(seq)[0] for seq in (3, 77, 498, 777)]
    # One page each to the next round number, and the newest once; the others were kept.
    assert reads(stage) <= 6
    for wire, seq in zip(late, (3, 77, 498, 777), strict=True):
        assert told(wire) == list(range(seq + 1, 2101))


def test_pages_that_are_kept_are_bounded(stage: Stage) -> None:
    for _ in range(50):
        stage.append(10, size=10_000)
    stage.publish()
    wire, follower = stage.follow()
    reads(stage)
    assert told(wire) == list(range(1, 501))
    (stream,) = stage.hub.streams._streams.values()
    assert 1024 * 1024 < stream.replays.bytes <= 2 * 1024 * 1024
    stage.within(lambda: stage.hub.streams.leave(follower))
    assert stage.hub.streams._streams == {}


def test_a_paused_reader_whose_range_is_removed_is_told_when_it_reads_on(stage: Stage) -> None:
    for _ in range(2):
        stage.append(600)
    stage.publish()
    wire, _ = stage.follow(room=1)
    reads(stage)
    assert told(wire) == list(range(1, 501))

    def work(tx: Any) -> None:
        retention.remove_events(tx, tx.runs.get(RUN), limit=1100)

    stage.fleet.write(work)
    stage.publish()
    stage.within(lambda: wire.give_room(100))
    stage.serve()
    got = told(wire)
    kept = [seq for seq in got if isinstance(seq, int)]
    (gap,) = (item for item in got if isinstance(item, tuple))
    assert gap[1] == 1100
    assert kept[-100:] == list(range(1101, 1201))
    assert kept[:-100] == list(range(501, gap[0]))


def test_a_store_that_fails_closes_all_who_wait_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(work: Any) -> Any:
        raise StoreUnavailableError("gone")

    stage.append(3)
    stage.publish()
    monkeypatch.setattr(stage.reader, "read", fails)
    wires = [stage.follow()[0] for _ in range(3)]
    assert [wire.closed for wire in wires] == [1011, 1011, 1011]
