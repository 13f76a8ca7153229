"""The feed of whole lists: nothing unchanged is sent again, and events are bounded."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from runwatch_server.fanout.compatible import CompatibleViewer
from tests.server.sockets.hubs import told
from tests.server.sockets.peers import VIEWER, FakeWire
from tests.server.sockets.test_groups import RUN, Stage, stage

__all__ = ["stage"]


def join(stage: Stage, room: int = 1_000_000) -> FakeWire:
    wire = FakeWire(room)
    stage.within(lambda: stage.hub.compatible.join(CompatibleViewer(wire, VIEWER)))
    stage.serve()
    return wire


def kinds(wire: FakeWire) -> Counter[str]:
    return Counter(frame["type"] for frame in told(wire))


def wait(stage: Stage, seconds: float) -> None:
    stage.fleet.clock.advance(seconds)
    stage.loop.pass_time(seconds)
    stage.serve()


def test_lists_come_again_only_if_they_changed_and_at_most_every_three_seconds(
    stage: Stage,
) -> None:
    wire = join(stage)
    assert kinds(wire) == {"workflows": 1, "stats": 1}
    wait(stage, 7)
    assert kinds(wire) == {}
    for calls in range(1, 4):
        stage.commit(stage.fleet.changing(RUN, tool_calls=calls))
        wait(stage, 0.5)
    assert kinds(wire) == {}, "counters alone are no event, and three seconds are not over"
    wait(stage, 3)
    assert kinds(wire)["workflows"] == 1


def test_numbers_that_change_with_time_alone_come_and_only_once(stage: Stage) -> None:
    wire = join(stage)
    now_us = stage.fleet.clock.now_us()
    stage.commit(stage.fleet.changing(RUN, status="failed", finished_us=now_us))
    wait(stage, 3.1)
    told(wire)
    stage.within(stage.hub.compatible.heartbeat)
    wait(stage, 3.1)
    assert kinds(wire) == {}, "nothing changed but the time"
    stage.fleet.clock.advance(3700)
    for _ in range(3):
        stage.within(stage.hub.compatible.heartbeat)
        wait(stage, 3.1)
    frames: list[Any] = told(wire)
    assert [frame["type"] for frame in frames] == ["stats"]
    assert frames[0]["data"]["failures_per_h"] == 0


def test_who_comes_later_disturbs_nobody(stage: Stage) -> None:
    first = join(stage)
    told(first)
    stage.commit(stage.fleet.changing(RUN, status="done"))
    second = join(stage)
    assert kinds(second) == {"workflows": 1, "stats": 1}
    assert kinds(first) == {"event": 1}
    wait(stage, 3.1)
    assert kinds(first) == {"workflows": 1, "stats": 1}
    assert kinds(second)["workflows"] == 0


def test_at_most_fifty_events_a_second_reach_a_client_and_the_lists_tell_the_rest(
    stage: Stage,
) -> None:
    wire = join(stage)
    told(wire)
    stage.commit(*(stage.fleet.making() for _ in range(120)))
    assert kinds(wire) == {"event": 50}
    wait(stage, 3.1)
    lists = [frame for frame in told(wire) if frame["type"] == "workflows"]
    assert len(lists[0]["data"]) == 121


def test_who_takes_nothing_misses_events_and_gets_the_newest_lists(stage: Stage) -> None:
    wire = join(stage)
    told(wire)
    wire.room = 0
    for status in ("queued", "running", "done"):
        stage.commit(stage.fleet.changing(RUN, status=status))
        wait(stage, 3.1)
    stage.within(lambda: wire.give_room(10))
    frames: list[Any] = told(wire)
    assert Counter(frame["type"] for frame in frames) == {"workflows": 1, "stats": 1}
    assert frames[0]["data"][0]["status"] == "done"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "done"}, {"state": "completed", "previous_state": "running"}),
        ({"health": "looping"}, {"health": "looping", "state": "running"}),
        ({"tool_calls": 5}, None),
    ],
)
def test_events_are_changes_of_standing(
    stage: Stage, fields: dict[str, Any], expected: dict[str, str] | None
) -> None:
    wire = join(stage)
    wire.payloads.clear()
    stage.commit(stage.fleet.changing(RUN, **fields))
    events = [msgspec.json.decode(payload)["data"] for payload in wire.payloads]
    if expected is None:
        assert events == []
    else:
        (event,) = events
        assert (event["kind"], event["id"], event["change"]) == ("workflow", RUN, "updated")
        assert expected.items() <= event.items()
