"""The sentences of contract 7.2, one by one: what frames hold, when they go, what clients share."""

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from runwatch_server import matching, records
from runwatch_server.fanout.subscriptions import (
    UnknownFrameError,
    read_client_frame,
    subscription_in_query,
    subscription_of,
)
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.matching import Test
from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import NodeId, WorkflowSummary
from runwatch_shared.settings import Limits
from runwatch_shared.wire import SubscribeFrame, WorkflowFilter
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


# What is shared


def test_one_filter_is_evaluated_and_encoded_once_whatever_ids_sorts_and_limits_its_clients_have(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[object] = []
    encoded: list[object] = []

    def judge(tests: Sequence[Test], row: RunRow | None) -> bool:
        judged.append(row)
        return matching.matches(tests, row)

    def encode(row: RunRow) -> WorkflowSummary:
        encoded.append(row)
        return summary(row)

    summary = records.summary
    monkeypatch.setattr("runwatch_server.fanout.groups.matches", judge)
    monkeypatch.setattr(records, "summary", encode)
    wires = [
        house.join(id=number, filter=RUNNING, sort=("name", "-attention")[number % 2], limit=number)
        for number in range(1, 41)
    ]
    for wire, _ in wires:
        told(wire)
    judged.clear()
    encoded.clear()
    house.commit(house.fleet.changing(RUN, tool_calls=1))
    assert len(judged) == 2, "the row before and the row after, once for all forty"
    assert len(encoded) == 1
    for number, (wire, _) in enumerate(wires, 1):
        (change,) = told(wire)
        assert change["sub"] == number
        assert change["workflows"]["upsert"][0]["tool_calls"] == 1


def test_filters_that_say_the_same_in_another_order_are_one(house: House) -> None:
    for status in (["running", "done"], ["done", "running", "done"]):
        house.join(filter=WorkflowFilter(status=status))
    assert len(house.hub.monitor._groups) == 1
    house.join(filter=WorkflowFilter(status=["done"]))
    assert len(house.hub.monitor._groups) == 2


def test_who_wants_another_order_or_more_rows_gets_a_snapshot_of_its_own(house: House) -> None:
    house.commit(*(house.fleet.making(name=name, status="queued") for name in "zab"))
    house.wait()
    wire, _ = house.join(sort="name", limit=2)
    other, _ = house.join(sort="-name", limit=0, id=5)
    _, first = told(wire)
    _, second = told(other)
    assert [row["name"] for row in first["workflows"]] == ["a", "b"]
    assert [row["name"] for row in second["workflows"]] == ["z"]
    assert (first["sub"], second["sub"]) == (0, 5)
    assert first["total"] == second["total"] == 4, "limit bounds the snapshot, not what matches"


def test_later_changes_of_every_matching_row_arrive_beyond_the_limit(house: House) -> None:
    house.commit(*(house.fleet.making(status="running") for _ in range(3)))
    house.wait()
    wire, _ = house.join(sort="update_time", limit=1)
    told(wire)
    for row_id in sorted(house.fleet.runs):
        house.commit(house.fleet.changing(row_id, tool_calls=2))
    house.wait()
    seen = {row["id"] for frame in told(wire) for row in frame["workflows"]["upsert"]}
    assert seen == set(house.fleet.runs)


def test_text_is_sought_in_memory_without_a_read(house: House) -> None:
    wire, _ = house.join(filter=WorkflowFilter(q="NEEDLE"))
    assert told(wire)[1]["total"] == 0
    house.commit(house.fleet.changing(RUN, name="a needle in it"))
    assert not house.reader.waiting
    (change,) = told(wire)
    assert (change["entered"], change["left"]) == (1, 0)
    house.wait()
    house.commit(house.fleet.changing(RUN, name="none"))
    (change,) = told(wire)
    assert change["workflows"]["remove"] == [{"type": "run", "id": RUN}]
    assert (change["entered"], change["left"]) == (0, 1)


# What frames hold


def test_a_snapshot_names_every_topic_with_rows_or_without(house: House) -> None:
    wire, _ = house.join(topics=["workflows", "nodes", "tasks", "stats", "accounts"])
    snapshot = told(wire)[1]
    assert snapshot["accounts"] == snapshot["tasks"] == []
    assert [node["id"] for node in snapshot["nodes"]] == ["n1"]
    assert snapshot["stats"]["total_runs"] == 1


def test_parts_are_bounded_of_one_revision_and_only_the_last_has_the_total(house: House) -> None:
    for _ in range(3):
        house.commit(*(house.fleet.making(labels={"a": "x" * 200}) for _ in range(500)))
    house.wait()
    wire, _ = house.join(limit=6000)
    wire_sizes = [len(payload) for payload in wire.payloads]
    _, *parts = told(wire)
    assert [part["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert [part["last"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len({part["revision"] for part in parts}) == 1
    assert max(len(part["workflows"]) for part in parts) <= 500
    assert max(wire_sizes) <= 256 * 1024
    assert ["total" in part for part in parts] == [part["last"] for part in parts]
    assert sum(len(part["workflows"]) for part in parts) == parts[-1]["total"] == 1501


def test_a_limit_beyond_five_thousand_is_five_thousand_and_a_negative_one_is_refused() -> None:
    assert subscription_of(SubscribeFrame(id=1, limit=9999), Limits(), 0).query.limit == 5000
    assert subscription_of(SubscribeFrame(id=1, limit=0), Limits(), 0).query.limit == 1
    assert subscription_of(SubscribeFrame(id=1), Limits(), 0).query.limit == 1000
    with pytest.raises(RefusedError):
        subscription_of(SubscribeFrame(id=1, limit=-1), Limits(), 0)


def test_the_default_subscription_is_the_contracts() -> None:
    found = subscription_of(SubscribeFrame(id=0), Limits(), 0)
    assert found.topics == {"workflows", "nodes", "stats"}
    assert found.view == ("attention", True, 1000)


def test_statistics_do_not_come_again_because_time_passed(house: House) -> None:
    wire, _ = house.join(topics=["stats"])
    house.commit(house.fleet.changing(RUN, tool_calls=3))
    house.wait(2)
    told(wire)
    house.within(house.hub.monitor.heartbeat)
    house.wait(5)
    house.within(house.hub.monitor.heartbeat)
    assert set(kinds(wire)) == {"heartbeat"}


@pytest.mark.parametrize(
    ("frame", "code", "field"),
    [
        ('{"type":"subscribe"}', "missing_field", "id"),
        ('{"type":"subscribe","id":"x"}', "invalid_field", "id"),
        ('{"type":"subscribe","id":1,"topics":["odd"]}', "invalid_value", "topics[0]"),
        ('{"type":"subscribe","id":1,"filter":{"q":5}}', "invalid_field", "filter.q"),
        ('{"type":"ping","id":[]}', "invalid_field", "id"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_by_field(frame: str, code: str, field: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_client_frame(frame.encode())
    assert (refused.value.code, refused.value.field) == (code, field)


@pytest.mark.parametrize("frame", [b"", b"\xff", b"[]", b'{"type":"odd"}', b"[" * 60_000])
def test_what_is_no_frame_at_all_is_unknown(frame: bytes) -> None:
    with pytest.raises(UnknownFrameError):
        read_client_frame(frame)


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("{", "invalid_parameter", "subscribe"),
        ('{"sort":"odd"}', "invalid_value", "subscribe.sort"),
        ('{"topics":["odd"]}', "invalid_value", "subscribe.topics[0]"),
        ('{"filter":{"since":"soon"}}', "invalid_parameter", "subscribe.filter.since"),
    ],
)
def test_a_subscription_in_the_address_is_refused_by_field(
    text: str, code: str, field: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        subscription_in_query(text, Limits(), 0)
    assert (refused.value.code, refused.value.field, refused.value.status) == (code, field, 400)


# When they go


def test_changes_that_come_once_a_tick_never_wait_for_long_because_one_was_late(
    house: House,
) -> None:
    wire, _ = house.join()
    told(wire)
    house.commit(house.fleet.changing(RUN, tool_calls=1))
    house.wait(0.01)
    house.commit(house.fleet.changing(RUN, tool_calls=2))
    house.wait(0.05)
    told(wire)
    for calls in range(3, 8):
        house.commit(house.fleet.changing(RUN, tool_calls=calls))
        assert kinds(wire) == ["change"], "at once"
        house.wait(0.05)


def test_a_heartbeat_between_two_subscriptions_is_not_ahead_of_what_was_sent(
    house: House,
) -> None:
    wire, viewer = house.join()
    told(wire)
    wire.room = 0
    told_revision = viewer.cursor.revision
    for calls in range(3):
        house.commit(house.fleet.changing(RUN, tool_calls=calls))
        house.wait()
    wire.room = 100
    house.subscribe(viewer, id=2, filter=RUNNING)
    house.within(house.hub.monitor.heartbeat)
    (beat,) = told(wire)
    assert (beat["type"], beat["revision"]) == ("heartbeat", told_revision)
    house.serve()
    (snapshot,) = told(wire)
    assert (snapshot["sub"], snapshot["revision"]) == (2, house.fleet.revision)


def test_answers_that_wait_are_not_lost_with_the_subscription_they_were_asked_under(
    house: House,
) -> None:
    wire, viewer = house.join()
    told(wire)
    wire.room = 0
    house.within(
        lambda: house.hub.monitor.tell(viewer, "pong", b"\x81\x11" + b'{"type":"pong1"}\n')
    )
    house.subscribe(viewer, id=3)
    house.serve()
    house.within(lambda: wire.give_room(10))
    assert kinds(wire) == ["pong1", "snapshot"]


# Resuming


def test_a_place_older_than_the_tombstones_starts_over(house: House) -> None:
    since = house.fleet.revision
    house.commit(house.fleet.deleting(RUN))
    house.fleet.clock.advance(90_000)
    house.commit(house.fleet.forgetting())
    wire, _ = house.join(since=since)
    greeting, resync, snapshot = told(wire)
    assert greeting["resumed"] is False
    assert (resync["type"], resync["reason"]) == ("resync", "too_old")
    assert snapshot["total"] == 0
    assert house.value("runwatch_feed_resyncs_total", reason="too_old") == 1


def test_a_place_outlives_the_server(house: House) -> None:
    since = house.fleet.revision
    house.fleet.write(house.fleet.making(status="running"))
    house.fleet.write(house.fleet.deleting(RUN))
    house.loop.finish(house.hub._owner.stop())
    house.fleet.restart()
    house.open()
    wire, _ = house.join(since=since)
    greeting, change = told(wire)
    assert greeting["resumed"] is True
    assert (change["previous"], change["revision"]) == (since, house.fleet.revision)
    assert [row["id"] for row in change["workflows"]["upsert"]] == ["run-000000000002"]
    assert change["workflows"]["remove"] == [{"type": "run", "id": RUN}]
    assert change["total"] == 1


def test_a_resumed_feed_passes_over_what_no_topic_shows(house: House) -> None:
    instance = InstanceRow(
        id="agent-0123456789ab",
        name="ada",
        account_id="claude-code_ada",
        agent_type="claude-code",
        node_id=NodeId("n1"),
        created_us=1,
        updated_us=1,
    )
    since = house.fleet.revision
    house.commit(lambda tx: tx.kept(InstanceRow).save(instance))
    house.commit(lambda tx: tx.kept(InstanceRow).delete(instance.id))
    house.commit(house.fleet.changing(RUN, tool_calls=1))
    wire, _ = house.join(since=since, topics=["workflows", "nodes", "tasks", "accounts"])
    greeting, change = told(wire)
    assert greeting["resumed"] is True
    assert [row["id"] for row in change["workflows"]["upsert"]] == [RUN]
    assert change["revision"] == house.fleet.revision


def test_frames_decode_as_the_records_say(house: House) -> None:
    wire, _ = house.join(id=77, topics=["workflows", "nodes", "tasks", "stats", "accounts"])
    house.commit(house.fleet.changing(RUN, tool_calls=1), house.fleet.tasking(0))
    house.wait(1.2)
    for payload in list(wire.payloads)[1:]:
        assert msgspec.json.decode(payload)["sub"] == 77
