"""What administrators do to nodes: PATCH, drain, resume, delete (contract 11.1)."""

from typing import Any

import pytest

from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from tests.server.fleet.harbour import Harbour


def refused(harbour: Harbour, **fields: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        harbour.patch_node(**fields)
    return caught.value


def test_labels_are_merged_over_the_reported_ones_and_null_removes(harbour: Harbour) -> None:
    harbour.beat(labels={"gpu": "no", "zone": "a"})
    harbour.patch_node(labels={"gpu": "yes"})
    assert harbour.patch_node(labels={"zone": None}).labels == {"gpu": "yes"}
    assert harbour.patch_node(labels={"zone": "b"}).labels == {"gpu": "yes", "zone": "b"}


def test_the_override_decides_the_slots_and_null_gives_them_back(harbour: Harbour) -> None:
    harbour.beat(slots=4)
    assert harbour.patch_node(max_concurrent_override=1).capacity == 1
    assert harbour.patch_node(max_concurrent_override=None).capacity == 4
    assert refused(harbour, max_concurrent_override=-1).field == "max_concurrent_override"


def test_a_display_name_is_taken_once(harbour: Harbour) -> None:
    harbour.beat("n1")
    harbour.beat("n2")
    harbour.patch_node("n1", display_name="Big one")
    assert harbour.patch_node("n1", display_name="Big one").display_name == "Big one"
    for name in ("Big one", "n1"):
        error = refused(harbour, node_id="n2", display_name=name)
        assert (error.code, error.status) == ("name_taken", 409)
    assert refused(harbour, display_name="a\x1b[0m").field == "display_name"
    assert harbour.patch_node("n1", display_name=None).display_name is None


@pytest.mark.parametrize(
    ("set_to", "status"),
    [("draining", "draining"), ("maintenance", "maintenance"), ("active", "online")],
)
def test_a_set_status_shows_unless_the_node_is_silent(
    harbour: Harbour, set_to: str, status: str
) -> None:
    harbour.beat()
    assert harbour.patch_node(status=set_to).status == status
    harbour.later(46)
    assert harbour.node_row().status == "offline"
    assert harbour.patch_node(status=set_to).status == "offline"
    harbour.beat()
    assert harbour.node_row().status == status


def test_an_unknown_node_is_not_found(harbour: Harbour) -> None:
    for act in (harbour.patch_node, harbour.drain, harbour.resume, harbour.delete_node):
        with pytest.raises(RefusedError) as caught:
            act("n1")
        assert caught.value.code == "not_found"


def test_a_drain_gives_back_what_was_not_claimed_and_lets_the_rest_end(harbour: Harbour) -> None:
    harbour.beat()
    unclaimed, claimed, running = harbour.assigned(), harbour.held(), harbour.running()
    row = harbour.drain()
    assert (row.status, row.admin_status, row.allocated) == ("draining", "draining", 2)
    assert harbour.run(unclaimed.id).status == "queued"
    assert harbour.run(claimed.id).status == "assigned"
    assert harbour.run(running.id).cancel is None
    harbour.place()
    assert harbour.run(unclaimed.id).queue_reason == "pinned to n1: draining"
    harbour.resume()
    assert harbour.place() == 1


def cancels(harbour: Harbour, *runs: RunRow) -> list[str | None]:
    return [cancel.reason if (cancel := harbour.run(run.id).cancel) else None for run in runs]


def test_a_drain_with_an_end_cancels_what_still_runs_then(harbour: Harbour) -> None:
    harbour.beat()
    first, second = harbour.running(), harbour.held()
    harbour.drain(stop_after_s=30)
    harbour.later(20, "n1")
    assert cancels(harbour, first, second) == [None, None]
    harbour.later(10, "n1")
    assert cancels(harbour, first, second) == ["node_drain", "node_drain"]
    assert harbour.node_row().stop_after_us is None
    answer = harbour.beat(runs=[first, second])
    assert set(answer.directives.cancel_reasons.values()) == {"node_drain"}


def test_a_drain_with_no_time_left_cancels_at_once(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.drain(stop_after_s=0)
    cancel = harbour.run(run.id).cancel
    assert cancel is not None
    assert (cancel.reason, cancel.by) == ("node_drain", "ops")


def test_a_resume_before_the_end_of_a_drain_cancels_nothing(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.drain(stop_after_s=30)
    harbour.resume()
    harbour.later(40, "n1")
    assert cancels(harbour, run) == [None]


@pytest.mark.parametrize("seconds", [-1, 604_801])
def test_a_drain_that_ends_out_of_range_is_refused(harbour: Harbour, seconds: int) -> None:
    harbour.beat()
    with pytest.raises(RefusedError) as caught:
        harbour.drain(stop_after_s=seconds)
    assert caught.value.field == "stop_after_s"
    assert harbour.node_row().admin_status == "active"


def test_a_node_with_active_runs_is_not_deleted(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    with pytest.raises(RefusedError) as caught:
        harbour.delete_node()
    assert (caught.value.code, caught.value.details) == ("in_use", {"run_ids": [run.id]})
    harbour.end(run)
    harbour.delete_node()
    assert harbour.read(lambda tx: tx.nodes.get("n1")) is None
