"""What the clients of one subscription share, and what a client that falls behind costs."""

from collections.abc import Iterator
from typing import Any

import pytest

from runwatch_server.fanout.groups import Viewer
from runwatch_server.fanout.subscriptions import subscription_of
from runwatch_shared.settings import Limits
from runwatch_shared.wire import SubscribeFrame
from tests.server.sockets.hubs import HubOverFleet, told
from tests.server.sockets.peers import VIEWER, FakeWire
from tests.server.sockets.test_monitor_property import hello

RUN = "run-000000000001"
LIMITS = Limits(mailbox_rows=5)


class Stage(HubOverFleet):
    """A hub over a fleet, and clients of its monitor."""

    def tick(self) -> None:
        self.loop.pass_time(0.06)

    def join(self, *, topics: Any = ("workflows",)) -> FakeWire:
        wire = FakeWire()
        frame = SubscribeFrame(id=0, topics=list(topics))
        subscription = subscription_of(frame, self.limits, self.fleet.clock.now_us())
        viewer = Viewer(wire, VIEWER, subscription)

        async def enter() -> None:
            resumed = await self.hub.monitor.join(viewer, since=None, store=None)
            self.hub.monitor.begin(viewer, hello(self.fleet, resumed=resumed))

        self.loop.finish(enter())
        return wire


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage(LIMITS)
    stage.commit(stage.fleet.making(status="running"))
    yield stage
    stage.close()


def test_the_first_change_after_silence_goes_at_once_and_later_ones_with_the_tick(
    stage: Stage,
) -> None:
    wire = stage.join()
    stage.serve()
    told(wire)
    stage.commit(stage.fleet.changing(RUN, tool_calls=1))
    assert [frame["type"] for frame in told(wire)] == ["change"]
    for calls in (2, 3, 4):
        stage.commit(stage.fleet.changing(RUN, tool_calls=calls))
    assert told(wire) == []
    stage.tick()
    (merged,) = told(wire)
    (row,) = merged["workflows"]["upsert"]
    assert row["tool_calls"] == 4


def test_clients_that_come_together_share_one_read_and_their_frames(stage: Stage) -> None:
    wires = [stage.join() for _ in range(20)]
    assert stage.serve() == 1
    assert {len(told(wire)) for wire in wires} == {2}
    stage.commit(stage.fleet.changing(RUN, tool_calls=1))
    frames = [wire.payloads[-1] for wire in wires]
    assert len(set(frames)) == 1


def test_a_client_that_was_long_without_news_is_not_started_over_when_it_stalls(
    stage: Stage,
) -> None:
    quiet = stage.join(topics=("nodes",))
    stage.serve()
    told(quiet)
    for calls in range(20):
        stage.commit(stage.fleet.changing(RUN, tool_calls=calls))
        stage.tick()
    quiet.room = 0
    stage.commit(stage.fleet.beating("n1"))
    stage.tick()
    stage.within(lambda: quiet.give_room(10))
    (change,) = told(quiet)
    assert change["type"] == "change"
    assert [row["id"] for row in change["nodes"]["upsert"]] == ["n1"]


def test_a_client_beyond_its_mailbox_starts_over(stage: Stage) -> None:
    wire = stage.join()
    stage.serve()
    told(wire)
    wire.room = 0
    for _ in range(LIMITS.mailbox_rows + 2):
        stage.commit(stage.fleet.making(status="running"))
        stage.tick()
    assert stage.hub.monitor.backlog() == (LIMITS.mailbox_rows, LIMITS.mailbox_rows)
    stage.within(lambda: wire.give_room(10))
    stage.serve()
    resync, snapshot = told(wire)
    assert (resync["type"], resync["reason"]) == ("resync", "lagging")
    assert (snapshot["type"], snapshot["total"]) == ("snapshot", LIMITS.mailbox_rows + 3)


def test_heartbeats_reach_a_client_that_waits_for_the_store_and_never_run_ahead(
    stage: Stage,
) -> None:
    wire = stage.join()
    stage.commit(stage.fleet.changing(RUN, tool_calls=1))
    stage.within(stage.hub.monitor.heartbeat)
    assert [frame["type"] for frame in told(wire)] == ["hello", "heartbeat"]
    stage.serve()
    stage.tick()
    told(wire)
    stage.commit(stage.fleet.changing(RUN, tool_calls=2))
    told(wire)
    stage.commit(stage.fleet.changing(RUN, tool_calls=3))
    stage.within(stage.hub.monitor.heartbeat)
    change, beat = told(wire)
    assert (change["type"], beat["type"]) == ("change", "heartbeat")
    assert beat["revision"] == change["revision"] == stage.fleet.revision


def test_groups_without_clients_are_forgotten(stage: Stage) -> None:
    wire = stage.join()
    stage.serve()
    (group,) = stage.hub.monitor._groups.values()
    (viewer,) = group.live
    stage.within(lambda: stage.hub.monitor.leave(viewer))
    assert not stage.hub.monitor._groups
    told(wire)
    stage.commit(stage.fleet.changing(RUN, tool_calls=9))
    assert told(wire) == []
