"""Clients of the monitor that do not read: what they cost, how they wake, what the metrics say."""

from collections.abc import Iterator
from typing import Any

import pytest

from runwatch_shared.wire import WorkflowFilter
from tests.server.sockets import listing
from tests.server.sockets.houses import RUN, House, kinds
from tests.server.sockets.hubs import told

RUNNING = WorkflowFilter(status=["running"])


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    house.commit(house.fleet.making(status="running"), house.fleet.beating("n1"))
    house.wait()
    yield house
    house.close()


# Slow clients


def test_stalled_clients_merge_stay_bounded_and_wake_with_what_the_list_says() -> None:
    house = House(mailbox_rows=50)
    try:
        house.commit(*(house.fleet.making(status="running") for _ in range(40)))
        house.wait()
        healthy = [house.join(filter=RUNNING)[0] for _ in range(90)]
        stalled = [house.join(filter=RUNNING)[0] for _ in range(10)]
        for wire in (*healthy, *stalled):
            told(wire)
        folds: list[dict[str, Any]] = [
            {row.id: row for row in listing.workflows(house.fleet, RUNNING).workflows}
            for _ in stalled
        ]
        for wire in stalled:
            wire.room = 0
        rounds = 200
        for number in range(rounds):
            row_id = sorted(house.fleet.runs)[number % 40]
            status = "done" if number % 7 == 0 else "running"
            house.commit(house.fleet.changing(row_id, tool_calls=number, status=status))
            house.wait()
        (group,) = house.hub.monitor._groups.values()
        assert group.rows == 40, "one a row, for all who are behind together"
        assert house.hub.monitor.backlog() == (400, 40)
        assert len(group._marks) <= 50
        assert all(kinds(wire).count("change") == rounds for wire in healthy), "nobody waits"
        truth = {row.id: row for row in listing.workflows(house.fleet, RUNNING).workflows}
        for fold, wire in zip(folds, stalled, strict=True):
            house.within(lambda wire=wire: wire.give_room(1000))
            house.serve()
            for frame in told(wire):
                if frame["type"] in {"resync", "snapshot"}:
                    fold.clear()
                changed = frame.get("workflows", {})
                upserted = changed.get("upsert", ()) if "upsert" in changed else changed or ()
                for key in changed.get("remove", ()) if isinstance(changed, dict) else ():
                    fold.pop(key["id"], None)
                fold.update({row["id"]: row for row in upserted})
            assert set(fold) == set(truth)
        assert house.hub.monitor.backlog() == (0, 0)
        assert group.rows == 0
    finally:
        house.close()


def test_a_row_that_comes_and_goes_does_not_grow_what_is_kept_for_a_reader_that_crawls() -> None:
    house = House(mailbox_rows=20)
    try:
        house.commit(house.fleet.making(status="running"))
        house.wait()
        wire, _ = house.join(filter=RUNNING)
        wire.room = 0
        for number in range(100):
            status = ("done", "running")[number % 2]
            house.commit(house.fleet.changing(RUN, status=status))
            house.wait()
        (group,) = house.hub.monitor._groups.values()
        assert group.rows == 1
        assert len(group._marks) <= 20
        told(wire)
        house.within(lambda: wire.give_room(100))
        house.serve()
        *_, snapshot = told(wire)
        assert (snapshot["type"], snapshot["total"]) == ("snapshot", 1)
    finally:
        house.close()


# Metrics


def test_the_feeds_metrics_say_what_happened(house: House) -> None:
    wire, viewer = house.join()
    told(wire)
    sent = "api_websocket_messages_total"
    assert house.value(sent, direction="out", type="hello") == 1
    assert house.value(sent, direction="out", type="snapshot") == 1
    lags = "runwatch_feed_lag_seconds_count"
    house.commit(house.fleet.beating("n2"))
    house.wait()
    assert house.value(lags, channel="monitor") == 0, "nobody was given anything"
    house.commit(house.fleet.changing(RUN, tool_calls=1))
    house.wait()
    assert house.value(lags, channel="monitor") == 1
    assert house.value(sent, direction="out", type="change") == 1
    wire.room = 0
    for calls in range(5):
        house.commit(house.fleet.changing(RUN, tool_calls=10 + calls))
        house.wait()
    assert house.value("runwatch_feed_merged_changes_total") == 4
    house.within(lambda: house.hub._beat(house.loop.time()))
    assert house.value("runwatch_feed_mailbox_rows", channel="monitor") == 1
    assert house.value("runwatch_feed_mailbox_rows_max", channel="monitor") == 1
    before_s = house.value("runwatch_feed_lag_seconds_sum", channel="monitor")
    house.wait(3)
    house.within(lambda: wire.give_room(100))
    assert house.value(lags, channel="monitor") == 2
    waited_s = house.value("runwatch_feed_lag_seconds_sum", channel="monitor") - before_s
    assert waited_s >= 3
    house.within(lambda: house.hub._beat(house.loop.time()))
    assert house.value("runwatch_feed_mailbox_rows", channel="monitor") == 0
    with house.hub.sockets.member(viewer):
        assert house.value("runwatch_websocket_connections", channel="monitor") == 1
        wire.room = 0
        house.hub.sockets.close_stuck(house.loop.time())
        house.hub.sockets.close_stuck(house.loop.time() + 59)
        assert wire.closed is None
        house.hub.sockets.close_stuck(house.loop.time() + 61)
        assert wire.closed == 1013
    assert house.value("runwatch_websocket_closes_total", channel="monitor", code="1013") == 1
    assert house.value("runwatch_slow_consumer_closes_total", channel="monitor") == 1
