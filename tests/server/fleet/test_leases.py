"""Leases and the sweeper: what lapses, is kept, is queued again or fails (contract 8.2, 8.3)."""

import pytest

from runwatch_server.rows import StepRow
from runwatch_server.standing import state_of
from runwatch_shared.errors import RefusedError
from tests.server.domain.keeping import node
from tests.server.domain.making import SECOND_US
from tests.server.fleet.harbour import Harbour, reason_of


def test_a_run_not_claimed_within_thirty_seconds_is_queued_again(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    harbour.later(29, "n1")
    assert harbour.run(run.id).status == "assigned"
    harbour.later(1, "n1")
    row = harbour.run(run.id)
    assert (row.status, row.node_id, row.epoch) == ("queued", None, 0)
    assert row.queue_reason_code == "unclaimed"
    assert row.queue_reason == "n1 did not claim in 30s, trying again"
    assert harbour.node_row().lapsed_us == harbour.now_us
    assert harbour.node_row().allocated == 0


def test_a_node_that_let_a_claim_lapse_is_tried_last_for_a_minute(harbour: Harbour) -> None:
    harbour.beat("n1", slots=8)
    harbour.beat("n2", slots=2)
    run = harbour.queued_run()
    harbour.place()
    assert harbour.run(run.id).node_id == "n1"
    harbour.later(30, "n1", "n2")
    harbour.place()
    assert harbour.run(run.id).node_id == "n2"
    harbour.claim(run, "n2")
    second = harbour.queued_run()
    harbour.wait(61)
    for name, slots in (("n1", 8), ("n2", 2)):
        harbour.beat(name, slots=slots)
    harbour.place()
    assert harbour.run(second.id).node_id == "n1"


def test_the_lapsed_node_is_still_taken_where_it_is_the_only_one(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    harbour.later(30, "n1")
    assert harbour.place() == 1
    assert harbour.run(run.id).node_id == "n1"


def test_a_lease_is_renewed_by_heartbeats_that_name_the_run_and_by_events(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running()
    for _ in range(4):
        harbour.wait(30)
        harbour.beat(runs=[run])
        harbour.sweep()
        assert state_of(harbour.run(run.id)) == "running"
    for _ in range(4):
        harbour.wait(30)
        harbour.append(run, "heartbeat", epoch=1)
        harbour.beat()
        harbour.sweep()
        assert state_of(harbour.run(run.id)) == "running"
    lease = harbour.read(lambda tx: tx.leases.get(run.id))
    assert lease is not None
    assert lease.expires_us == harbour.now_us + 45 * SECOND_US


def test_an_expired_lease_of_a_sticky_run_stays_with_its_node_as_unknown(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.later(45, "n1")
    row = harbour.run(run.id)
    assert (row.status, row.node_id, row.epoch, row.lease_kind) == ("running", "n1", 1, "explicit")
    assert state_of(row) == "unknown"
    harbour.later(3600, "n1")
    assert harbour.run(run.id).status == "running"
    assert harbour.append(run, "message", "message", epoch=1).last_seq == 3
    row = harbour.run(run.id)
    assert (state_of(row), row.lease_ended_us) == ("running", None)


def test_a_sticky_run_whose_node_stays_away_fails_after_a_day(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running(timeout_s=604_800)
    harbour.later(45, "n1")
    harbour.later(24 * 3600 - 1, "n1")
    assert harbour.run(run.id).status == "running"
    harbour.later(1, "n1")
    row = harbour.run(run.id)
    assert (row.status, row.error_code, row.epoch, row.lease_kind) == (
        "failed",
        "node_lost",
        2,
        None,
    )
    last = harbour.events(run.id)[-1]
    assert (last.type, b'"by":"server"' in (last.payload or b"")) == ("run_completed", True)
    assert b'"reason":"node_lost"' in (last.payload or b"")
    with pytest.raises(RefusedError) as caught:
        harbour.append(run, "message", epoch=1, by=node("n1"))
    assert caught.value.code == "lease_lost"
    assert reason_of(caught.value) == "node_lost"


def test_retry_on_lost_is_queued_again_fifteen_seconds_after_expiry(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running(retry_on_lost=True)
    harbour.append(run, "tool_use_start", epoch=1, id="c1", tool="Bash")
    harbour.append(run, "approval_request", epoch=1, id="w1", kind="approval", action="x")
    harbour.later(45, "n1")
    assert state_of(harbour.run(run.id)) == "unknown"
    harbour.later(14, "n1")
    assert harbour.run(run.id).status == "running"
    harbour.later(1, "n1")
    row = harbour.run(run.id)
    assert (row.status, row.node_id, row.epoch, row.lease_kind) == ("queued", None, 2, None)
    assert (row.started_us, row.claimed_us, row.deadline_us) == (None, None, None)
    assert (row.open_tools, row.wait, row.open_waits) == (0, None, 0)
    assert harbour.node_row().allocated == 0
    step = harbour.write(lambda tx: tx.runs.step(run.id, 1))
    assert isinstance(step, StepRow)
    assert step.status == "unknown"
    with pytest.raises(RefusedError) as caught:
        harbour.append(run, "message", epoch=1)
    assert (caught.value.code, reason_of(caught.value)) == ("lease_lost", "node_lost")


def test_a_lost_run_goes_on_elsewhere_and_its_old_holder_is_fenced(harbour: Harbour) -> None:
    harbour.beat("n1")
    harbour.beat("n2", slots=1)
    run = harbour.queued_run(retry_on_lost=True)
    harbour.place()
    harbour.claim(run, "n1")
    harbour.append(run, "run_started", epoch=1)
    harbour.later(45, "n2")
    harbour.later(15, "n2")
    harbour.beat("n2")
    harbour.place()
    claim = harbour.claim(run, "n2")
    assert (claim.row.epoch, claim.next_seq, claim.row.holders) == (2, 2, ("n1", "n2"))
    with pytest.raises(RefusedError) as caught:
        harbour.append(run, "message", epoch=1, by=node("n1"))
    assert reason_of(caught.value) == "superseded"
    answer = harbour.beat("n1", runs=[claim.row])
    assert answer.directives.lost_runs == [run.id]
    assert harbour.append(run, "message", epoch=2, by=node("n2")).last_seq == 2


def test_a_lost_run_that_was_to_be_cancelled_is_not_queued_again(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running(retry_on_lost=True)
    harbour.later(44, "n1")
    harbour.cancel(run)
    harbour.later(1, "n1")
    harbour.later(15, "n1")
    row = harbour.run(run.id)
    assert (row.status, row.error_code) == ("cancelled", "cancel_unconfirmed")


def test_nothing_is_held_against_anybody_in_the_amnesty_after_a_start(harbour: Harbour) -> None:
    harbour.beat()
    unclaimed = harbour.assigned()
    sticky = harbour.running()
    again = harbour.running(retry_on_lost=True)
    asked = harbour.running()
    harbour.cancel(asked)
    rows = [harbour.run(run.id) for run in (unclaimed, sticky, again, asked)]
    harbour.wait(300)
    swept = harbour.sweep(amnesty=True)
    assert (swept.leases, swept.nodes) == (0, 0)
    assert harbour.node_row().status == "online"
    for row in rows:
        now = harbour.run(row.id)
        assert (now.status, now.epoch, now.node_silent) == (row.status, row.epoch, False)
    harbour.sweep()
    assert harbour.node_row().status == "offline"
    assert harbour.run(unclaimed.id).status == "queued"
    assert state_of(harbour.run(sticky.id)) == "unknown"
    assert harbour.run(asked.id).status == "cancelled"


def test_a_deadline_asks_for_the_end_and_after_the_grace_the_server_takes_the_run(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running(timeout_s=60)
    for _ in range(2):
        harbour.wait(30)
        answer = harbour.beat(runs=[run])
        harbour.sweep()
    row = harbour.run(run.id)
    assert row.cancel is not None
    assert (row.status, row.cancel.reason, row.cancel.by) == ("running", "timeout", "server")
    harbour.wait(10)
    answer = harbour.beat(runs=[run])
    assert answer.directives.cancel_reasons == {run.id: "timeout"}
    delivered_us = harbour.now_us
    for _ in range(5):
        harbour.wait(10)
        assert harbour.beat(runs=[run]).directives.cancel_runs == [run.id]
        harbour.sweep()
    row = harbour.run(run.id)
    assert row.cancel is not None
    assert (row.status, row.cancel.delivered_us) == ("running", delivered_us)
    harbour.wait(10)
    harbour.beat(runs=[run])
    harbour.sweep()
    row = harbour.run(run.id)
    assert (row.status, row.error_code, row.epoch) == ("timeout", "timeout", 2)
    assert harbour.beat(runs=[run]).directives.lost_runs == [run.id]


@pytest.mark.parametrize(
    ("reported", "becomes"), [("done", "done"), ("failed", "failed"), ("cancelled", "timeout")]
)
def test_a_holder_that_answers_within_the_grace_is_believed(
    harbour: Harbour, reported: str, becomes: str
) -> None:
    harbour.beat()
    run = harbour.running(timeout_s=20)
    harbour.later(20, "n1")
    harbour.end(run, reported)
    row = harbour.run(run.id)
    assert (row.status, row.epoch) == (becomes, 1)


def test_a_cancel_nobody_can_be_told_of_ends_a_minute_after_the_request(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.wait(50)
    harbour.sweep()
    harbour.cancel(run)
    harbour.later(59)
    assert harbour.run(run.id).status == "running"
    harbour.later(1)
    row = harbour.run(run.id)
    assert (row.status, row.error_code) == ("cancelled", "cancel_unconfirmed")
    assert b'"reason":"user"' in (harbour.events(run.id)[-1].payload or b"")


def test_a_silent_node_is_offline_after_forty_five_seconds_and_its_runs_are_unknown(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running()
    unclaimed = harbour.assigned()
    harbour.wait(20)
    harbour.append(run, "message", epoch=1)
    harbour.later(25)
    assert harbour.node_row().status == "online"
    harbour.later(0.001)
    row = harbour.node_row()
    assert (row.status, row.offline_since_us) == ("offline", harbour.now_us)
    assert state_of(harbour.run(run.id)) == "unknown"
    assert harbour.run(unclaimed.id).status == "queued"
    answer = harbour.beat(runs=[run])
    assert [lease.run_id for lease in answer.leases] == [run.id]
    assert harbour.node_row().status == "online"
    assert harbour.node_row().offline_since_us is None
    assert state_of(harbour.run(run.id)) == "running"


def test_a_run_its_node_does_not_name_stays_unknown_once_its_lease_is_over(
    harbour: Harbour,
) -> None:
    harbour.beat()
    kept, dropped = harbour.running(), harbour.running()
    harbour.later(46)
    harbour.beat(runs=[kept])
    assert state_of(harbour.run(kept.id)) == "running"
    assert state_of(harbour.run(dropped.id)) == "unknown"


def test_an_ended_run_leaves_no_lease_behind(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.end(run)
    assert harbour.read(lambda tx: tx.leases.get(run.id)) is None
    harbour.later(100, "n1")
    assert harbour.run(run.id).status == "done"
