"""A node's ledger: what it was given against what it says runs there (contract 11.4)."""

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server import found, ledger
from runwatch_server.records import node_record
from runwatch_server.recounting import Recount
from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.models import NodeLedger, RunId
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import FoundRunRequest, Orphan, ReportedRun
from tests.server.domain.keeping import ANY_NODE
from tests.server.fleet.harbour import Harbour, reported


def numbers(harbour: Harbour, node_id: str = "n1") -> NodeLedger:
    found = node_record(harbour.node_row(node_id)).ledger
    assert found is not None
    return found


def counts(harbour: Harbour, node_id: str = "n1") -> tuple[int | None, ...]:
    """(allocated, pending, matched, phantom, orphan)"""
    told = numbers(harbour, node_id)
    return (told.allocated, told.pending, told.matched, told.phantom, told.orphan)


def answer(harbour: Harbour, node_id: str = "n1") -> LedgerAnswer:
    return harbour.read(lambda tx: ledger.answer(tx.nodes.get(node_id), tx))


def rows(harbour: Harbour, node_id: str = "n1") -> list[tuple[str, str, str]]:
    return [
        (row.class_, row.run_id or row.ref or "", row.reason)
        for row in answer(harbour, node_id).rows
    ]


def dead(run: RunRow) -> ReportedRun:
    return ReportedRun(id=run.id, epoch=run.epoch, alive=False, spooled_seq=3, acked_seq=1)


def test_a_run_is_pending_until_its_node_reports_it(harbour: Harbour) -> None:
    harbour.beat()
    assert counts(harbour) == (0, 0, 0, 0, 0)
    run = harbour.assigned()
    assert counts(harbour) == (1, 1, 0, 0, 0)
    assert rows(harbour) == [("pending", run.id, "assigned, not claimed")]
    run = harbour.claim(run).row
    assert rows(harbour) == [("pending", run.id, "claimed, not reported yet")]
    harbour.beat(runs=[run])
    assert counts(harbour) == (1, 0, 1, 0, 0)
    assert rows(harbour) == [("matched", run.id, "reported alive")]
    assert answer(harbour).rows[0].epoch == 1


def test_a_run_that_is_never_reported_is_a_phantom_after_30_s(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.held()
    harbour.later(29, "n1")
    assert counts(harbour) == (1, 1, 0, 0, 0)
    harbour.wait(1)
    assert harbour.sweep().nodes == 1
    assert counts(harbour) == (1, 0, 0, 1, 0)
    assert rows(harbour) == [("phantom", run.id, "never reported")]
    assert answer(harbour).rows[0].since == format_time(harbour.now_us - 30_000_000)
    assert harbour.sweep().nodes == 0


def test_a_run_that_is_reported_no_more_has_30_s_again(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.wait(100)
    harbour.beat(runs=[run])
    seen = format_time(harbour.now_us)
    harbour.later(20, "n1")
    assert rows(harbour) == [("pending", run.id, "not in the last report")]
    harbour.later(10, "n1")
    assert rows(harbour) == [("phantom", run.id, "reported no more")]
    assert answer(harbour).rows[0].since == seen
    harbour.beat(runs=[run])
    assert counts(harbour) == (1, 0, 1, 0, 0)
    assert answer(harbour).rows[0].since == format_time(harbour.now_us)


def test_a_run_whose_process_is_gone_is_no_run_alive(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.beat(runs=[run])
    harbour.wait(30)
    harbour.beat(runs=[dead(run)])
    told = numbers(harbour)
    assert (told.real, told.matched, told.phantom, told.orphan) == (0, 0, 1, 0)
    assert rows(harbour) == [("phantom", run.id, "the node has it, but its process is gone")]


def test_a_run_that_ends_leaves_nothing_behind(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.beat(runs=[run])
    harbour.end(run)
    assert counts(harbour) == (0, 0, 0, 0, 0)
    harbour.beat(runs=[reported(harbour.run(run.id))])
    assert counts(harbour) == (0, 0, 0, 0, 0), "its last heartbeat was on its way"
    harbour.wait(5)
    harbour.beat(runs=[dead(run)])
    assert counts(harbour) == (0, 0, 0, 0, 0)
    harbour.beat(runs=[run])
    assert counts(harbour) == (0, 0, 0, 0, 1)
    assert rows(harbour) == [("orphan", run.id, "reported alive, ended here: done")]


def test_every_kind_of_orphan_says_why(harbour: Harbour) -> None:
    harbour.beat("n1")
    harbour.beat("n2")
    elsewhere, older, queued = harbour.running("n2"), harbour.running("n1"), harbour.queued_run()
    harbour.claim(older, "n1", process="n1-p2", epoch=older.epoch)
    since = format_time(harbour.now_us - 7_000_000)
    orphans = [
        Orphan(kind="container", ref="runwatch-run-1", since=since),
        Orphan(kind="process", ref="pid 77", since=since),
    ]
    stranger = ReportedRun(id="run-0123456789ab", epoch=1, alive=True, spooled_seq=0, acked_seq=0)
    named = [reported(elsewhere), reported(older, 1), reported(queued, 1), stranger]
    harbour.beat("n1", runs=named, orphans=orphans)
    told = numbers(harbour)
    assert (told.allocated, told.pending, told.real, told.orphan) == (1, 1, 6, 6)
    assert sorted(row for row in rows(harbour) if row[0] == "orphan") == sorted(
        [
            ("orphan", elsewhere.id, "reported alive, given to n2"),
            ("orphan", older.id, "reported alive with lease 1, the present one is 2"),
            ("orphan", queued.id, "reported alive, queued again here"),
            ("orphan", stranger.id, "reported alive, not known here"),
            ("orphan", "runwatch-run-1", "a container without a run"),
            ("orphan", "pid 77", "a process without a run"),
        ]
    )
    first = {row.ref: row.since for row in answer(harbour).rows if row.ref}
    assert set(first.values()) == {since}
    harbour.wait(10)
    harbour.beat("n1", runs=named)
    assert numbers(harbour).orphan == 4
    again = {row.run_id: row.since for row in answer(harbour).rows if row.class_ == "orphan"}
    assert set(again.values()) == {format_time(harbour.now_us - 10_000_000)}


def test_a_session_that_the_node_found_is_not_in_the_ledger(harbour: Harbour) -> None:
    harbour.beat()
    request = FoundRunRequest(
        external_id="s1", name="by hand", agent_type="claude-code", process_id="n1-p1"
    )
    session = harbour.write(
        lambda tx: found.announce(tx, "n1", request, by=ANY_NODE, settings=harbour.settings)
    ).row
    harbour.beat(runs=[session])
    assert counts(harbour) == (0, 0, 0, 0, 0)
    assert rows(harbour) == []


def test_an_offline_node_says_nothing_and_never_nought(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    harbour.beat(runs=[run], orphans=[_container("left", harbour)])
    assert numbers(harbour).real == 2
    heard = format_time(harbour.now_us)
    harbour.later(46)
    told = numbers(harbour)
    assert (told.real, told.matched, told.phantom, told.orphan) == (None, None, None, None)
    assert (told.allocated, told.as_of, answer(harbour).rows) == (1, heard, [])
    harbour.beat(runs=[run])
    assert counts(harbour) == (1, 0, 1, 0, 0)


def _container(ref: str, harbour: Harbour) -> Orphan:
    return Orphan(kind="container", ref=ref, since=format_time(harbour.now_us))


def test_a_node_that_is_drained_keeps_its_ledger(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    unclaimed = harbour.assigned()
    harbour.beat(runs=[run])
    harbour.drain()
    assert harbour.run(unclaimed.id).status == "queued"
    assert counts(harbour) == (1, 0, 1, 0, 0)


def test_an_older_node_reports_by_its_own_list(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.assigned()
    harbour.beat(runs=None, running_runs=[run.id, "run-ffffffffffff"])
    assert counts(harbour) == (1, 0, 1, 0, 1)


def test_a_lost_servers_past_is_not_the_nodes_fault(harbour: Harbour) -> None:
    harbour.beat()
    harbour.held()
    harbour.wait(3600)
    assert harbour.sweep(amnesty=True).nodes == 0
    assert numbers(harbour).phantom == 0


def test_the_orphans_that_are_kept_are_bounded_and_all_are_counted(harbour: Harbour) -> None:
    stray = [
        ReportedRun(id=f"run-{n:012x}", epoch=1, alive=True, spooled_seq=0, acked_seq=0)
        for n in range(300)
    ]
    harbour.beat(runs=stray, orphans=[_container(f"c{n}", harbour) for n in range(50)])
    assert numbers(harbour).orphan == 350
    assert len(answer(harbour).rows) == ledger.MOST_STRAYS


@pytest.mark.parametrize("ref", ["a\x1b[2J", "r" * 300])
def test_a_ref_that_does_not_fit_is_refused(harbour: Harbour, ref: str) -> None:
    with pytest.raises(RefusedError) as caught:
        harbour.beat(orphans=[_container(ref, harbour)])
    assert caught.value.field == "orphans[0].ref"


def test_an_id_that_is_none_is_an_orphan_made_harmless(harbour: Harbour) -> None:
    odd = ReportedRun(id="a\x00\x1b]0;b", epoch=1, alive=True, spooled_seq=0, acked_seq=0)
    harbour.beat(runs=[odd])
    assert numbers(harbour).orphan == 1
    assert "\x1b" not in str(answer(harbour).rows)


def test_an_unknown_node_has_no_ledger(harbour: Harbour) -> None:
    with pytest.raises(RefusedError) as caught:
        answer(harbour, "n9")
    assert caught.value.code == "not_found"


def test_a_recount_finds_slots_that_no_run_holds(harbour: Harbour) -> None:
    harbour.beat()
    run = harbour.running()
    recount = Recount()
    recount.run(harbour.run(run.id))
    node = harbour.node_row()
    assert list(recount.node_wrong(node)) == []
    other = msgspec.structs.replace(node.slots[0], run_id=RunId("run-ffffffffffff"))
    wrong = msgspec.structs.replace(node, slots=[other])
    assert list(recount.node_wrong(wrong)) == ["node n1: 2 of its slots are not those of its runs"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["give", "claim", "end", "cancel", "beat", "beat_some", "wait", "drain"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_sums_hold_whatever_happens(steps: list[tuple[str, int]]) -> None:
    harbour = Harbour()
    try:
        harbour.beat(slots=100)
        given: list[RunRow] = []
        for step, pick in steps:
            _take_step(harbour, given, step, pick)
            told, found = numbers(harbour), answer(harbour)
            if told.real is None:
                continue
            assert told.phantom is not None
            assert told.matched is not None
            assert told.orphan is not None
            assert told.allocated == told.pending + told.matched + told.phantom
            assert told.real == told.matched + told.orphan
            classes: Counter[str] = Counter(row.class_ for row in found.rows)
            assert classes == Counter(
                pending=told.pending,
                matched=told.matched,
                phantom=told.phantom,
                orphan=told.orphan,
            )
            row = harbour.node_row()
            active = harbour.read(lambda tx: tx.runs.active_on("n1"))
            assert {slot.run_id for slot in row.slots} == {run.id for run in active}
    finally:
        harbour.store.close()


def _take_step(harbour: Harbour, given: list[RunRow], step: str, pick: int) -> None:
    current = [harbour.run(run.id) for run in given]
    live = [run for run in current if run.status in {"queued", "assigned", "running"}]
    held = [run for run in live if run.lease_kind is not None]
    free = [run for run in live if run.status == "assigned" and run.lease_kind is None]
    match step:
        case "give":
            harbour.resume()
            given.append(harbour.queued_run())
            harbour.place()
        case "beat":
            harbour.beat(runs=held, slots=100)
        case "beat_some":
            harbour.beat(runs=current[pick:], slots=100)
        case "wait":
            harbour.wait(pick * 10)
            harbour.sweep()
        case "drain":
            harbour.drain()
        case _:
            _act_on_one(harbour, step, pick, {"claim": free, "end": held, "cancel": live}[step])


def _act_on_one(harbour: Harbour, step: str, pick: int, runs: list[RunRow]) -> None:
    acts: dict[str, Callable[[RunRow], object]] = {
        "claim": harbour.claim,
        "end": harbour.end,
        "cancel": harbour.cancel,
    }
    if runs:
        acts[step](runs[pick % len(runs)])
