"""Who is served first and by which node (contract 12), over rows and over the store."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_server.fitting import lasting_misfit, need_of
from runwatch_server.placing import Fleet, Line, plan
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.scheduler import carry_out
from runwatch_shared.models import AgentOffer, Constraints, NodeId, RunId
from tests.server.domain.making import NOW_US, SECOND_US, run_row
from tests.server.fleet.harbour import Harbour


def queued(number: int, **changes: Any) -> RunRow:
    return run_row(
        id=RunId(f"run-{number:012x}"),
        **{
            "status": "queued",
            "node_id": None,
            "lease_kind": None,
            "created_us": NOW_US + number,
            "queue_reason": "waiting for the scheduler",
            "queue_reason_code": "placing",
            **changes,
        },
    )


def node(node_id: str, slots: int = 4, **changes: Any) -> NodeRow:
    return NodeRow(
        id=NodeId(node_id),
        max_concurrent=slots,
        last_heartbeat_us=NOW_US,
        created_us=NOW_US,
        updated_us=NOW_US,
        **changes,
    )


def line_of(*rows: RunRow) -> Line:
    line = Line()
    for row in rows:
        line.put(row)
    return line


def placed(rows: list[RunRow], nodes: list[NodeRow], *, limit: int = 1000) -> list[tuple[int, str]]:
    """(number of the run, node) in the order of assignment."""
    moves = plan(line_of(*rows), Fleet(nodes), NOW_US, limit=limit)
    return [(int(run_id.removeprefix("run-"), 16), to) for run_id, to in moves.assignments]


def test_priority_comes_before_age_and_age_before_id() -> None:
    rows = [
        queued(1),
        queued(2, priority=5),
        queued(3, priority=5, created_us=NOW_US - 9),
        queued(5, created_us=NOW_US + 1),
        queued(4, priority=-1, created_us=0),
    ]
    assert [number for number, _ in placed(rows, [node("n1", 9)])] == [3, 2, 1, 5, 4]


def test_a_run_that_fits_nowhere_does_not_hold_up_others() -> None:
    stuck = [
        queued(n, priority=9, constraints=Constraints(node_labels={"gpu": "yes"}))
        for n in range(300)
    ]
    assert placed([*stuck, queued(900)], [node("n1")]) == [(900, "n1")]


def test_most_free_slots_then_least_recently_given_then_id() -> None:
    nodes = [
        node("n1", 4, allocated=2),
        node("n2", 3, last_given_us=NOW_US - 5),
        node("n3", 3, last_given_us=NOW_US - 9),
        node("n4", 3, last_given_us=NOW_US - 9),
    ]
    order = [to for _, to in placed([queued(n) for n in range(11)], nodes)]
    assert order[:3] == ["n3", "n4", "n2"]
    assert order[3:7] == ["n1", "n3", "n4", "n2"]
    assert Counter(order) == {"n1": 2, "n2": 3, "n3": 3, "n4": 3}


def test_a_node_that_let_a_claim_lapse_comes_last_for_a_minute() -> None:
    lapsed = node("n1", 9, lapsed_us=NOW_US - 59 * SECOND_US)
    assert placed([queued(1), queued(2)], [lapsed, node("n2", 1)]) == [(1, "n2"), (2, "n1")]
    forgiven = node("n1", 9, lapsed_us=NOW_US - 60 * SECOND_US)
    assert placed([queued(1)], [forgiven, node("n2", 1)]) == [(1, "n1")]


def test_a_plan_that_is_cut_at_its_limit_says_there_is_more() -> None:
    rows = [queued(n) for n in range(5)]
    moves = plan(line_of(*rows), Fleet([node("n1", 9)]), NOW_US, limit=2)
    assert (len(moves.assignments), moves.reasons, moves.more) == (2, [], True)
    moves = plan(line_of(*rows), Fleet([]), NOW_US, limit=3)
    assert (moves.assignments, len(moves.reasons), moves.more) == ([], 3, True)


def test_the_reason_counts_what_the_plan_itself_gives_away() -> None:
    moves = plan(line_of(queued(1), queued(2)), Fleet([node("n1", 1)]), NOW_US, limit=9)
    assert moves.assignments == [("run-000000000001", "n1")]
    ((run_id, reason),) = moves.reasons
    assert (run_id, reason.text) == ("run-000000000002", "n1 full (1/1)")


def test_a_line_forgets_runs_and_takes_their_newest_row() -> None:
    line = line_of(queued(1), queued(2))
    assert line.put(queued(1, priority=3)) is True
    assert line.put(queued(1, priority=3, queue_reason="n1 full (1/1)")) is False
    line.drop("run-000000000002")
    line.drop("run-ffffffffffff")
    assert len(line) == 1
    moves = plan(line, Fleet([node("n1")]), NOW_US, limit=9)
    assert [run_id for run_id, _ in moves.assignments] == ["run-000000000001"]


def test_a_fleet_tells_when_a_node_may_take_more() -> None:
    fleet = Fleet([node("n1", 2, allocated=2)])
    assert fleet.put(node("n1", 2, allocated=2, last_given_us=5)) is False
    assert fleet.put(node("n1", 2, allocated=1)) is True
    assert fleet.put(node("n1", 2, allocated=2)) is False
    assert fleet.put(node("n1", 3, allocated=3)) is True
    assert fleet.put(node("n1", 3, allocated=3, agents=[AgentOffer(type="command")])) is True
    assert fleet.put(node("n2", 0)) is True
    assert fleet.drop("n2") is True
    assert fleet.drop("n2") is False


LABELS = st.sampled_from([None, {"gpu": "yes"}, {"gpu": "no"}, {"zone": "a"}])
AGENTS = st.sampled_from(["claude-code", "openai-codex", "general", "command"])


@st.composite
def runs_and_nodes(draw: st.DrawFn) -> tuple[list[RunRow], list[NodeRow]]:
    nodes = [
        node(
            f"n{index}",
            draw(st.integers(0, 4)),
            allocated=draw(st.integers(0, 2)),
            status=draw(st.sampled_from(["online", "online", "offline", "draining"])),
            reported_labels=draw(LABELS) or {},
            agents=[AgentOffer(type=kind) for kind in draw(st.lists(AGENTS, max_size=2))],
            last_given_us=draw(st.integers(0, 3)),
        )
        for index in range(draw(st.integers(0, 4)))
    ]
    rows = [
        queued(
            number,
            priority=draw(st.integers(-1, 1)),
            agent_type=draw(AGENTS),
            constraints=Constraints(
                node_id=draw(st.sampled_from([None, None, "n0", "n9"])), node_labels=draw(LABELS)
            ),
        )
        for number in range(draw(st.integers(0, 12)))
    ]
    return rows, nodes


def suits(row: RunRow, one: NodeRow) -> bool:
    return lasting_misfit(need_of(row), one) is None


@given(runs_and_nodes())
@settings(deadline=None)
def test_a_plan_does_what_serving_one_run_after_the_other_would(
    fleet: tuple[list[RunRow], list[NodeRow]],
) -> None:
    rows, nodes = fleet
    free = {one.id: one.capacity - one.allocated for one in nodes}
    given_us = {one.id: one.last_given_us for one in nodes}
    expected: list[tuple[str, str]] = []
    for row in sorted(rows, key=lambda row: (-row.priority, row.created_us, row.id)):
        roomy = [one for one in nodes if free[one.id] > 0 and suits(row, one)]
        if roomy:
            best = min(roomy, key=lambda one: (-free[one.id], given_us[one.id], one.id))
            free[best.id] -= 1
            given_us[best.id] = NOW_US + len(expected) + 1
            expected.append((row.id, best.id))
    moves = plan(line_of(*rows), Fleet(nodes), NOW_US, limit=1000)
    assert moves.assignments == expected
    waiting = {row.id for row in rows} - {run_id for run_id, _ in expected}
    assert {run_id for run_id, _ in moves.reasons} == waiting
    assert all(reason.code != "placing" for _, reason in moves.reasons)


def test_each_of_many_runs_is_given_once_and_no_node_gets_more_than_it_has(
    harbour: Harbour,
) -> None:
    for index in range(10):
        harbour.beat(f"n{index}", slots=5)
    runs = [harbour.queued_run(priority=index % 3) for index in range(60)]
    assert sum(harbour.place() for _ in range(3)) == 50
    rows = [harbour.run(run.id) for run in runs]
    by_node = Counter(row.node_id for row in rows if row.node_id)
    assert set(by_node.values()) == {5}
    waiting = [row for row in rows if row.status == "queued"]
    assert {row.priority for row in waiting} == {0}
    assert {row.queue_reason_code for row in waiting} == {"full"}
    assert all(harbour.node_row(f"n{index}").allocated == 5 for index in range(10))


def test_a_cancel_between_plan_and_assignment_wins(harbour: Harbour) -> None:
    harbour.beat(slots=1)
    first, second = harbour.queued_run(), harbour.queued_run()
    line = line_of(harbour.run(first.id), harbour.run(second.id))
    moves = plan(line, Fleet([harbour.node_row()]), harbour.now_us, limit=9)
    harbour.cancel(first)
    harbour.cancel(second)
    assert harbour.write(lambda tx: carry_out(tx, moves, settings=harbour.settings)) == 0
    assert harbour.run(first.id).status == "cancelled"
    assert harbour.node_row().allocated == 0


def test_a_node_filled_or_drained_between_plan_and_assignment_is_not_given_more(
    harbour: Harbour,
) -> None:
    harbour.beat(slots=1)
    run, rival = harbour.queued_run(), harbour.queued_run()
    stale = Fleet([harbour.node_row()])
    moves = plan(line_of(harbour.run(rival.id)), stale, harbour.now_us, limit=9)
    assert harbour.place() == 1
    assert harbour.write(lambda tx: carry_out(tx, moves, settings=harbour.settings)) == 0
    harbour.drain()
    assert harbour.run(run.id).status == "queued"
    assert harbour.write(lambda tx: carry_out(tx, moves, settings=harbour.settings)) == 0
    assert harbour.node_row().allocated == 0
