"""The fold of the feed's frames."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_console.fleet import Fleet
from runwatch_console.folding import count_looks, fold
from runwatch_console.ports import FleetFrame
from runwatch_console.rows import run_row
from runwatch_shared.models import WorkflowSummary
from runwatch_shared.wire import ErrorFrame, ResyncFrame
from tests.console.records import at, change, heartbeat, node, snapshot, summary, waiting

IDS = [f"run-{i:012x}" for i in range(6)]
STATUSES = ["queued", "assigned", "running", "done", "failed", "cancelled", "timeout"]


@st.composite
def rows(draw: st.DrawFn) -> WorkflowSummary:
    run_id = draw(st.sampled_from(IDS))
    status = draw(st.sampled_from(STATUSES))
    more: dict[str, Any] = {}
    if status == "running":
        more["waiting"] = draw(st.sampled_from([None, waiting()]))
        more["health"] = draw(st.sampled_from(["ok", "looping", "stalled", "slow"]))
    return summary(run_id, status, event_count=draw(st.integers(0, 99)), **more)


steps = st.one_of(
    st.builds(lambda upsert: ("upsert", upsert), st.lists(rows(), max_size=4)),
    st.builds(lambda ids: ("remove", ids), st.lists(st.sampled_from(IDS), max_size=3)),
    st.builds(lambda all_rows: ("snapshot", all_rows), st.lists(rows(), max_size=6)),
)


@given(st.lists(steps, max_size=12), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_folding_changes_equals_a_snapshot_of_the_end(script: list, batch: int) -> None:
    truth: dict[str, WorkflowSummary] = {}
    frames: list[FleetFrame] = []
    for kind, what in script:
        if kind == "upsert":
            truth.update((row.id, row) for row in what)
            frames.append(change(upsert=what))
        elif kind == "remove":
            for run_id in what:
                truth.pop(run_id, None)
            frames.append(change(remove=what))
        else:
            truth = {row.id: row for row in what}
            frames.append(snapshot(what))
    fleet = Fleet()
    for start in range(0, len(frames), batch):
        fleet = fold(fleet, frames[start : start + batch])
    expected = {run_id: run_row(row) for run_id, row in truth.items()}
    assert fleet.runs == expected
    assert fleet.looks == count_looks(expected)


def test_a_fold_leaves_the_fleet_before_it_as_it_was() -> None:
    before = fold(Fleet(), [snapshot([summary(IDS[0])])])
    runs_before = dict(before.runs)
    after = fold(before, [change(upsert=[summary(IDS[0], "done")]), change(remove=[IDS[0]])])
    assert before.runs == runs_before
    assert after.runs == {}


def test_a_fold_names_the_rows_it_changed() -> None:
    fleet = fold(Fleet(), [snapshot([summary(IDS[0]), summary(IDS[1])])])
    assert fleet.changed is None
    fleet = fold(fleet, [change(upsert=[summary(IDS[0], "done")], remove=[IDS[1], IDS[5]])])
    assert fleet.changed == frozenset({IDS[0], IDS[1]})
    assert fold(fleet, [heartbeat()]).changed == frozenset()


def test_the_first_snapshot_is_shown_part_by_part() -> None:
    fleet = fold(Fleet(), [snapshot([summary(IDS[0])], part=1, last=False, total=None)])
    assert list(fleet.runs) == [IDS[0]]
    assert not fleet.loaded
    fleet = fold(fleet, [snapshot([summary(IDS[1])], part=2, total=9)])
    assert list(fleet.runs) == [IDS[0], IDS[1]]
    assert fleet.loaded
    assert fleet.total == 9


def test_after_a_resync_old_rows_stay_until_the_new_snapshot_is_whole() -> None:
    fleet = fold(Fleet(), [snapshot([summary(IDS[0])], [node("n1")])])
    resync = ResyncFrame(reason="lagging", revision=5, server_time=at())
    fleet = fold(fleet, [resync, snapshot([summary(IDS[1])], part=1, last=False, total=None)])
    assert list(fleet.runs) == [IDS[0]]
    fleet = fold(fleet, [snapshot([summary(IDS[2])], part=2)])
    assert list(fleet.runs) == [IDS[1], IDS[2]]
    assert fleet.nodes == {}


def test_the_total_follows_what_entered_and_left() -> None:
    fleet = fold(Fleet(), [snapshot([], total=5_140)])
    assert fold(fleet, [change(entered=3, left=1)]).total == 5_142
    assert fold(fleet, [change(entered=3, left=1, total=7)]).total == 7


def test_nodes_are_upserted() -> None:
    fleet = fold(Fleet(), [snapshot([], [node("n1"), node("n2")])])
    fleet = fold(fleet, [change(nodes=[node("n2", "offline")])])
    assert {name: row.status for name, row in fleet.nodes.items()} == {
        "n1": "online",
        "n2": "offline",
    }


def test_an_error_frame_is_kept_as_harmless_text_and_changes_no_row() -> None:
    fleet = fold(Fleet(), [snapshot([summary(IDS[0])])])
    fleet = fold(fleet, [ErrorFrame(code="invalid_value", error="bad \x1b]52;c;eA==\x07 filter")])
    assert list(fleet.runs) == [IDS[0]]
    assert "\x1b" not in fleet.problem
    assert "invalid_value" in fleet.problem


def test_all_text_of_a_row_is_clean_once_it_is_in_the_fleet() -> None:
    bad = "a\x1b[31m\u202eb\x9b\x00"
    row = summary(
        IDS[0],
        name=bad,
        activity_text=bad,
        node_id=bad,
        agent_type=bad,
        labels={bad: bad},
        error=bad,
        error_code=bad,
        health_reason=bad,
        queue_reason=bad,
        waiting=waiting(bad),
    )
    run = fold(Fleet(), [snapshot([row])]).runs[IDS[0]]
    texts = [
        value for value in run.__class__.__struct_fields__ if isinstance(getattr(run, value), str)
    ]
    for name in texts:
        assert getattr(run, name).isprintable(), name
    assert run.wait is not None
    assert run.wait.prompt.isprintable()
    assert all(key.isprintable() and value.isprintable() for key, value in run.labels.items())
