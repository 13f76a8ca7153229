"""Claims: who gets a run, who gets the same answer again, and every reason for a refusal (11.2)."""

from collections.abc import Callable

import pytest

from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from tests.server.domain.keeping import OPERATOR, node
from tests.server.domain.making import SECOND_US
from tests.server.fleet.harbour import Harbour, reason_of


def refused(harbour: Harbour, run: RunRow, *args: str, **claim: object) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        harbour.claim(run, *args, **claim)  # type: ignore[arg-type]  # passed through
    return caught.value


def test_a_claim_gives_the_first_epoch_a_lease_and_a_deadline(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned(timeout_s=60)
    claim = harbour.claim(run)
    assert (claim.row.epoch, claim.row.lease_kind, claim.row.process_id) == (
        1,
        "explicit",
        "n1-p1",
    )
    assert claim.lease.expires_us == harbour.now_us + 45 * SECOND_US
    assert claim.row.deadline_us == harbour.now_us + 60 * SECOND_US
    assert claim.row.claimed_us == harbour.now_us
    assert claim.next_seq == 1
    assert claim.row.holders == ("n1",)


def test_the_same_process_gets_the_same_answer_again(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    first = harbour.claim(run)
    assert harbour.claim(run) == first
    assert harbour.claim(run, epoch=1) == first


def test_a_repeated_claim_does_not_let_the_lease_run_out_early(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    harbour.claim(run)
    harbour.wait(20)
    again = harbour.claim(run)
    assert again.row.epoch == 1
    assert again.lease.expires_us == harbour.now_us + 45 * SECOND_US


def test_a_restarted_process_that_knows_the_epoch_takes_over_with_the_next(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running()
    deadline_us = run.deadline_us
    harbour.wait(5)
    again = harbour.claim(run, process="n1-p2", epoch=1)
    assert (again.row.epoch, again.row.process_id, again.row.status) == (2, "n1-p2", "running")
    assert again.next_seq == 2
    assert again.row.deadline_us == deadline_us
    with pytest.raises(RefusedError) as caught:
        harbour.append(run, "message", epoch=1)
    assert caught.value.code == "lease_lost"
    assert harbour.append(run, "message", epoch=2).last_seq == 2


def test_a_restart_takes_over_a_run_that_is_to_be_cancelled(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.cancel(run)
    assert harbour.claim(run, process="n1-p2", epoch=1).row.cancel is not None


def done(harbour: Harbour) -> RunRow:
    run = harbour.running()
    harbour.end(run)
    return run


def cancelled(harbour: Harbour) -> RunRow:
    run = harbour.assigned()
    harbour.cancel(run)
    return run


REFUSALS: dict[str, tuple[Callable[[Harbour], RunRow], dict[str, object], str, str | None]] = {
    "queued": (lambda h: h.queued_run(), {}, "not_assigned", None),
    "of another node": (lambda h: h.assigned("n1"), {"node_id": "n2"}, "other_node", "n1"),
    "held by another process": (
        lambda h: h.held("n1"),
        {"process": "n1-p2"},
        "other_process",
        "n1",
    ),
    "held, and the epoch is old": (
        lambda h: h.held("n1"),
        {"process": "n1-p2", "epoch": 7},
        "other_process",
        "n1",
    ),
    "cancelled in the queue": (cancelled, {}, "cancelled", "n1"),
    "done": (done, {}, "ended", "n1"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_run_that_is_not_claimable_says_why(harbour: Harbour, case: str) -> None:
    make, claim, reason, holder = REFUSALS[case]
    for name in ("n1", "n2"):
        harbour.beat(name)
    run = make(harbour)
    before = harbour.run(run.id)
    error = refused(harbour, run, **claim)
    assert error.code == "not_claimable"
    assert error.details is not None
    assert error.details["reason"] == reason
    assert error.details["status"] == before.status
    assert error.details.get("node_id") == holder
    assert harbour.run(run.id) == before


def test_a_bound_token_claims_for_its_own_node_only(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    assert refused(harbour, run, by=node("n2")).code == "not_your_node"
    assert harbour.claim(run, by=node("n1")).row.epoch == 1


def test_an_unknown_run_is_not_found_and_a_strange_id_is_refused(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    assert refused(harbour, run, process="a b").field == "process_id"
    harbour.write(lambda tx: tx.runs.delete(harbour.run(run.id)))
    assert refused(harbour, run).code == "not_found"


def test_a_run_that_was_lost_and_given_anew_is_not_continued_by_its_old_epoch(
    harbour: Harbour,
) -> None:
    harbour.beat()
    run = harbour.running(retry_on_lost=True)
    harbour.later(45, "n1")
    harbour.later(15, "n1")
    assert harbour.run(run.id).status == "queued"
    assert harbour.place() == 1
    assert reason_of(refused(harbour, run, process="n1-p2", epoch=1)) == "other_process"
    given = harbour.claim(run)
    assert (given.row.epoch, given.next_seq) == (2, 2)


def test_a_run_reported_by_a_script_is_not_claimable(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.queued_run()
    harbour.append(run, "run_started", by=OPERATOR)
    assert reason_of(refused(harbour, run)) == "not_assigned"
