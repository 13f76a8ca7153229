"""The fleet's numbers follow commits, and equal what a fresh start reads and what rows count."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_server import appends, levels, runs, transitions
from runwatch_server.projection import Projection
from runwatch_server.rows import RunRow, SourceRow
from runwatch_server.storage.protocols import Commit, Query, Span, WriteTx
from runwatch_shared.models import NodeId
from runwatch_shared.timestamps import format_time
from tests.server.domain.keeping import ANY_NODE, Keeper
from tests.server.domain.making import NOW_US
from tests.server.domain.test_appends import batch


def midnight(moment_us: int) -> int:
    return 0


def loaded(keeper: Keeper) -> Projection:
    projection = Projection(day_start_us=midnight, started_us=NOW_US)
    keeper.read(lambda tx: projection.load(tx))
    return projection


class Followed:
    """A projection that was there from the first commit on."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.projection = loaded(keeper)
        self._seen = len(keeper.commits)

    def stats(self) -> dict[str, Any]:
        for commit in self.keeper.commits[self._seen :]:
            self.projection.apply(commit)
        self._seen = len(self.keeper.commits)
        built: dict[str, Any] = msgspec.to_builtins(self.projection.stats(self.keeper.now_us))
        return built


def start(keeper: Keeper, row: RunRow) -> RunRow:
    assigned = msgspec.structs.replace(
        row,
        status="assigned",
        node_id=NodeId("n1"),
        assigned_us=keeper.now_us,
        source=SourceRow(kind="scheduler", at_us=keeper.now_us),
    )
    return keeper.write(
        lambda tx: transitions.change_run(tx, row, assigned, settings=keeper.settings)
    )


def report(keeper: Keeper, run_id: str, kind: str, payload: dict[str, Any]) -> None:
    seq = keeper.run(run_id).last_seq + 1
    prepared = batch([(seq, kind, payload)], None)
    keeper.write(
        lambda tx: appends.append(tx, run_id, prepared, by=ANY_NODE, settings=keeper.settings)
    )


def test_a_run_moves_through_the_numbers(keeper: Keeper) -> None:
    keeper.online_node("n1")
    followed = Followed(keeper)
    row = keeper.queued_run()
    queued = followed.stats()
    keeper.wait(3)
    start(keeper, row)
    report(keeper, row.id, "approval_request", {"prompt": "push?"})
    waiting = followed.stats()
    usage = {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.5}
    report(keeper, row.id, "run_completed", {"status": "done", "usage": usage})
    done = followed.stats()
    used = keeper.run(row.id).usage
    assert used is not None

    assert done["server_time"] > format_time(used.as_of_us)
    assert {done["usage"][span]["as_of"] for span in ("today", "total")} == {
        format_time(used.as_of_us)
    }
    assert queued["runs_by_status"]["queued"] == 1
    assert queued["waiting"] == {"count": 0, "oldest_since": None, "held_slots": 0}
    assert queued["slots"] == {"capacity": 4, "allocated": 0, "free": 4}
    assert (waiting["waiting"]["count"], waiting["waiting"]["held_slots"]) == (1, 1)
    assert waiting["slots"]["allocated"] == 1
    assert waiting["workflows_by_state"]["waiting"] == 1
    assert waiting["queue_wait_ms"]["samples"] == 1
    assert abs(waiting["queue_wait_ms"]["p50"] - 3000) < 150
    assert (done["completed_today"], done["active_workflows"]) == (1, 0)
    assert done["slots"]["allocated"] == 0
    assert done["usage"]["today"]["total_tokens"] == 12
    assert done["burn"]["cost_usd_per_h"] == pytest.approx(3.0)
    assert done["total_events"] == 2
    assert done["tasks_by_status"]["completed"] == 1


def test_nothing_reported_is_unknown_and_not_zero(keeper: Keeper) -> None:
    keeper.queued_run()

    stats = Followed(keeper).stats()

    assert stats["usage"] == {"today": None, "total": None}
    assert stats["burn"]["cost_usd_per_h"] is None
    assert stats["queue_wait_ms"]["p50"] is None
    assert stats["avg_duration_ms"] is None


def test_minutes_without_record_are_null_and_later_ones_are_numbers(keeper: Keeper) -> None:
    keeper.online_node("n1")
    followed = Followed(keeper)
    row = keeper.queued_run()
    start(keeper, row)
    report(keeper, row.id, "run_completed", {"status": "failed"})
    followed.stats()
    keeper.wait(60)

    history = followed.projection.history(keeper.now_us, 5)

    failed, online = history.series["failed"], history.series["nodes_online"]
    assert failed == [None, None, None, None, 1]
    assert online[-1] == 1
    assert (history.bucket_s, len(history.series["queued"])) == (60, 5)


def write_levels(keeper: Keeper, projection: Projection) -> int:
    """What the server does now and then; gives how many minutes were written."""
    unwritten = projection.unwritten_levels(keeper.now_us)

    def work(tx: WriteTx) -> None:
        for start_us, name, value in unwritten:
            tx.count(name, value, spans=(("minute", start_us),))

    if unwritten:
        keeper.write(work)
    return len({start_us for start_us, _, _ in unwritten})


def test_levels_of_minutes_are_the_same_after_a_restart(keeper: Keeper) -> None:
    followed = Followed(keeper)
    keeper.wait(60 - keeper.now_us / 1e6 % 60)
    followed.projection.tick(keeper.now_us)  # a minute in which there is nothing
    keeper.wait(60)
    keeper.online_node("n1")
    keeper.queued_run()
    followed.stats()
    keeper.wait(60)
    start(keeper, keeper.queued_run())
    followed.stats()

    assert write_levels(keeper, followed.projection) == 2, "those that are over"
    followed.stats()
    assert write_levels(keeper, followed.projection) == 0, "once each"
    again = loaded(keeper)
    assert write_levels(keeper, again) == 0
    keeper.wait(60)
    again.tick(keeper.now_us)
    followed.projection.tick(keeper.now_us)

    before = followed.projection.history(keeper.now_us, 4).series
    after = again.history(keeper.now_us, 4).series
    assert before["queued"][1:] == [0, 1, 1]
    assert before["nodes_online"][1:] == [0, 1, 1]
    for name in levels.NAMES:
        assert after[name][:3] == before[name][:3], name
        assert after[name][3] is None, "the minute it was restarted in was not over"


def test_what_is_held_does_not_grow_with_names_and_days(keeper: Keeper) -> None:
    projection = loaded(keeper)

    def commit(n: int) -> Commit:
        day = n * 86_400_000_000
        counts: list[tuple[Span, int, str, float]] = [
            ("all", 0, f"run:agent:done:agent-{n}", 1),
            ("all", 0, f"tokens:input:agent-{n}", 10),
            ("day", day, f"tokens:input:agent-{n}", 10),
            ("minute", n * 60_000_000, f"queue_wait:{n % 7}", 1),
        ]
        return Commit(
            revision=n, at_us=NOW_US, runs=[], nodes=[], tasks=[], events={}, counts=counts
        )

    for n in range(1, 2000):
        projection.apply(commit(n))
    projection.tick(NOW_US)

    assert projection.value("tokens:input") == 19_990
    assert projection.values("run:agent:") == {"done:other": 1999}
    assert sum(map(len, projection._counters.values())) < 10


def test_the_oldest_wait_is_known_whichever_closes_first(keeper: Keeper) -> None:
    keeper.online_node("n1")
    followed = Followed(keeper)
    rows = []
    for _ in range(3):
        rows.append(start(keeper, keeper.queued_run()))
        keeper.wait(5)
        report(keeper, rows[-1].id, "approval_request", {"prompt": "?"})
    since = [row.wait.since_us for row in map(keeper.run, [r.id for r in rows]) if row.wait]
    followed.stats()
    for done, oldest in ((1, since[0]), (0, since[2]), (2, None)):
        report(keeper, rows[done].id, "run_completed", {"status": "done"})
        followed.stats()
        assert followed.projection.oldest_wait_us() == oldest


def test_nodes_are_counted_as_they_change(keeper: Keeper) -> None:
    node = keeper.online_node("n1")
    keeper.online_node("n2", max_concurrent=3, allocated=1)
    followed = Followed(keeper)
    assert followed.stats()["slots"] == {"capacity": 7, "allocated": 1, "free": 6}
    keeper.write(lambda tx: tx.nodes.save(msgspec.structs.replace(node, status="offline")))
    stats = followed.stats()
    assert stats["slots"] == {"capacity": 3, "allocated": 1, "free": 2}
    assert (stats["online_nodes"], stats["nodes_by_status"]["offline"]) == (1, 1)
    keeper.write(lambda tx: tx.nodes.delete(node))
    assert followed.stats()["total_nodes"] == 1


steps = st.lists(
    st.tuples(
        st.sampled_from(["new", "start", "ask", "use", "done", "fail", "cancel", "wait"]),
        st.integers(0, 4),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_following_commits_equals_starting_afresh_and_counting_rows(
    script: list[tuple[str, int]],
) -> None:
    keeper = Keeper()
    keeper.online_node("n1", max_concurrent=100)
    followed = Followed(keeper)
    made: list[str] = []
    for step, pick in script:
        play(keeper, made, step, pick)

    stats = followed.stats()
    fresh = msgspec.to_builtins(loaded(keeper).stats(keeper.now_us))
    rows = keeper.read(lambda tx: tx.runs.page(Query(limit=1000)))

    assert stats == fresh
    for status, count in stats["runs_by_status"].items():
        assert count == sum(row.status == status for row in rows)
    assert stats["total_events"] == sum(row.event_count for row in rows)
    assert stats["waiting"]["count"] == sum(row.wait is not None for row in rows)
    active = [row for row in rows if row.status in {"assigned", "running"}]
    assert stats["slots"]["allocated"] == len(active)
    keeper.store.close()


def play(keeper: Keeper, made: list[str], step: str, pick: int) -> None:
    """One step of a script on one of the runs made so far; a step that cannot be is left out."""
    if step == "new":
        made.append(keeper.queued_run().id)
        return
    keeper.wait(7)
    if not made:
        return
    row = keeper.run(made[pick % len(made)])
    if step == "start" and row.status == "queued":
        start(keeper, row)
    elif step == "cancel" and row.status == "queued":
        keeper.write(
            lambda tx: runs.cancel_run(
                tx, row.id, reason="user", by_name="x", note=None, settings=keeper.settings
            )
        )
    elif row.status in {"assigned", "running"} and step in REPORTS:
        kind, payload = REPORTS[step]
        report(keeper, row.id, kind, payload)


REPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ask": ("approval_request", {"prompt": "?"}),
    "use": ("message", {"content": "x", "usage": {"input_tokens": 5, "output_tokens": 1}}),
    "done": ("run_completed", {"status": "done"}),
    "fail": ("run_failed", {"error": "x"}),
}
