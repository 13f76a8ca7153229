"""Agent sessions that a node found: their run is made once, held, fenced, and made anew after its
end.
"""

from typing import Any

import pytest
from msgspec import Raw

from runwatch_server import appends, found, leases, nodes, runs, sweeper, tasks
from runwatch_server.found import Found
from runwatch_shared.errors import RefusedError
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    ClaimRequest,
    EventBatch,
    EventInput,
    FoundRunRequest,
    Heartbeat,
    ReportedRun,
    RunRequest,
)
from tests.server.domain.keeping import ADMIN, ANY_NODE, Keeper, node
from tests.server.domain.making import SECOND_US


def session(**changes: Any) -> FoundRunRequest:
    return FoundRunRequest(
        **{
            "external_id": "claude-code:0b5c",
            "name": "squares",
            "agent_type": "claude",
            "process_id": "p1",
            "labels": {"source": "session"},
            "cwd": "/home/user/demo",
            **changes,
        }
    )


def announce(keeper: Keeper, **changes: Any) -> Found:
    request = session(**changes)
    return keeper.write(
        lambda tx: found.announce(tx, "n1", request, by=ANY_NODE, settings=keeper.settings)
    )


def report(keeper: Keeper, of: Found, *kinds: str) -> None:
    events = [
        EventInput(seq=of.next_seq + n, type=kind, timestamp=format_time(keeper.now_us))
        for n, kind in enumerate(kinds)
    ]
    if kinds[-1] == "run_completed":
        events[-1] = EventInput(
            seq=events[-1].seq,
            type="run_completed",
            timestamp=events[-1].timestamp,
            payload=b'{"status":"done","inferred_from":"silence"}',  # type: ignore[arg-type]
        )
    batch = appends.prepare(
        EventBatch(events=events, epoch=of.lease.epoch),
        limits=keeper.settings.limits,
        now_us=keeper.now_us,
    )
    keeper.write(
        lambda tx: appends.append(tx, of.row.id, batch, by=ANY_NODE, settings=keeper.settings)
    )


def append_one(keeper: Keeper, of: Found, event: EventInput) -> None:
    limits, now_us = keeper.settings.limits, keeper.now_us
    batch = appends.prepare(EventBatch(events=[event], epoch=1), limits=limits, now_us=now_us)
    keeper.write(
        lambda tx: appends.append(tx, of.row.id, batch, by=ANY_NODE, settings=keeper.settings)
    )


@pytest.fixture
def house(keeper: Keeper) -> Keeper:
    keeper.online_node("n1")
    return keeper


def test_a_found_run_runs_at_once_without_slot_deadline_or_control(house: Keeper) -> None:
    began_us = house.now_us - 3600 * SECOND_US
    made = announce(house, started_at=format_time(began_us))
    row = made.row
    assert made.made
    assert made.next_seq == 1
    assert (row.status, row.origin, row.agent_type) == ("running", "found", "claude-code")
    assert (row.node_id, row.deadline_us, row.claimed_us) == ("n1", None, None)
    assert (row.started_us, row.created_us) == (began_us, began_us)
    assert row.labels == {"source": "session"}
    at = house.read(lambda tx: tx.nodes.get("n1"))
    assert at is not None
    assert (at.allocated, at.active_runs) == (0, 1)
    with pytest.raises(RefusedError, match="only watched") as refusal:
        house.write(
            lambda tx: runs.cancel_run(
                tx, row.id, reason="user", by_name="ops", note=None, settings=house.settings
            )
        )
    assert refusal.value.code == "not_controllable"


def test_the_same_session_from_the_same_process_is_the_same_run(house: Keeper) -> None:
    first, again = announce(house), announce(house, name="another name")
    assert not again.made
    assert (again.row.id, again.lease.epoch) == (first.row.id, 1)
    tasks_now = house.read(lambda tx: tx.tasks.get(first.row.task_id))
    assert tasks_now is not None
    assert (tasks_now.runs_total, tasks_now.runs_active) == (1, 1)


def test_another_process_takes_over_with_the_next_epoch_and_number(house: Keeper) -> None:
    first = announce(house)
    report(house, first, "message", "message")
    taken = announce(house, process_id="p2")
    assert not taken.made
    assert (taken.row.id, taken.lease.epoch, taken.next_seq) == (first.row.id, 2, 3)
    with pytest.raises(RefusedError) as refusal:
        report(house, first, "thinking")
    assert refusal.value.code == "lease_lost"


def test_sessions_of_other_nodes_and_names_are_other_runs(house: Keeper) -> None:
    house.online_node("n2")
    first, other = announce(house), announce(house, external_id="claude-code:ffff")
    elsewhere = house.write(
        lambda tx: found.announce(tx, "n2", session(), by=ANY_NODE, settings=house.settings)
    )
    assert len({first.row.id, other.row.id, elsewhere.row.id}) == 3
    assert len({first.row.task_id, other.row.task_id, elsewhere.row.task_id}) == 3


def test_a_session_that_goes_on_after_its_end_is_a_new_run_with_a_parent(house: Keeper) -> None:
    first = announce(house)
    report(house, first, "message", "run_completed")
    ended = house.run(first.row.id)
    assert (ended.status, ended.source.kind, ended.source.note) == ("done", "inferred", "silence")
    house.wait(60)
    second = announce(house)
    assert second.made
    assert second.row.id != first.row.id
    assert (second.row.parent_id, second.row.attempt) == (first.row.id, 2)
    assert second.row.task_id == first.row.task_id
    assert second.next_seq == 1
    assert announce(house).row.id == second.row.id


def test_heartbeats_renew_it_and_a_silent_node_makes_it_unknown(house: Keeper) -> None:
    first = announce(house)
    house.wait(40)
    named = ReportedRun(id=first.row.id, epoch=1, alive=True, spooled_seq=0, acked_seq=0)
    beat = Heartbeat(node_id="n1", process_id="p1", runs=[named])
    answer = house.write(lambda tx: nodes.heartbeat(tx, beat, by=ANY_NODE, settings=house.settings))
    assert [lease.run_id for lease in answer.leases] == [first.row.id]
    assert answer.directives.lost_runs == []
    house.wait(46)
    house.write(lambda tx: sweeper.sweep(tx, settings=house.settings))
    assert house.run(first.row.id).node_silent
    announce(house, process_id="p2")
    assert not house.run(first.row.id).node_silent


def test_old_words_of_a_session_do_not_make_it_stalled_but_silence_does(house: Keeper) -> None:
    began_us = house.now_us - 1800 * SECOND_US
    first = announce(house, started_at=format_time(began_us))
    event = EventInput(seq=1, type="message", timestamp=format_time(began_us))
    append_one(house, first, event)
    assert house.run(first.row.id).health == "ok"
    house.wait(301)
    house.write(lambda tx: sweeper.sweep(tx, settings=house.settings, amnesty=True))
    assert house.run(first.row.id).health == "stalled"


def test_what_a_session_tells_late_counts_when_it_happened(house: Keeper) -> None:
    minute_us = 60 * SECOND_US
    then_us = house.now_us - 2 * 3600 * SECOND_US
    first = announce(house, started_at=format_time(then_us))
    usage = b'{"usage":{"input_tokens":70,"output_tokens":7,"cost_usd":0.5}}'
    ends = b'{"status":"done","inferred_from":"silence"}'
    events = [
        EventInput(seq=1, type="message", timestamp=format_time(then_us), payload=Raw(usage)),
        EventInput(seq=2, type="run_completed", timestamp=format_time(then_us), payload=Raw(ends)),
    ]
    for event in events:
        append_one(house, first, event)
        burn = house.run(first.row.id).burn
        assert burn is None or burn.tokens_per_min == 0
    counted = {
        (start_us, name)
        for span, start_us, name, value in house.read(lambda tx: tx.counters())
        if span == "minute" and value and name.startswith(("tokens:", "cost", "ended:"))
    }
    assert {name for _, name in counted} >= {"ended:completed", "tokens:input:claude-code"}
    assert {start_us for start_us, _ in counted} == {then_us - then_us % minute_us}


def test_a_claim_gives_a_found_run_no_deadline(house: Keeper) -> None:
    first = announce(house)
    claim = ClaimRequest(node_id="n1", process_id="p2", epoch=1)
    house.write(
        lambda tx: leases.claim(tx, first.row.id, claim, by=ANY_NODE, settings=house.settings)
    )
    assert house.run(first.row.id).deadline_us is None


def test_what_was_asked_in_a_session_is_not_known_so_it_is_not_retried(house: Keeper) -> None:
    first = announce(house)
    report(house, first, "run_completed")
    with pytest.raises(RefusedError) as refusal:
        house.write(
            lambda tx: runs.retry_run(tx, first.row.id, RunRequest(), settings=house.settings)
        )
    assert refusal.value.code == "not_controllable"


def test_a_session_deleted_and_found_again_is_there_for_a_feed_that_resumes(house: Keeper) -> None:
    first = announce(house)
    before = house.read(lambda tx: tx.revision())
    house.write(
        lambda tx: tasks.delete_task(tx, first.row.task_id, force=True, settings=house.settings)
    )
    again = announce(house)
    assert again.row.task_id == first.row.task_id
    changed = house.read(lambda tx: tx.changed_since(before, limit=100))
    assert changed is not None
    assert [task.id for task in changed.tasks] == [again.row.task_id]
    assert [grave.id for grave in changed.removed] == [first.row.id]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("external_id", "no/path"),
        ("external_id", ""),
        ("process_id", "-"),
        ("name", "bell\x07"),
        ("name", " "),
        ("agent_type", "../x"),
        ("started_at", "yesterday"),
        ("labels", {"a:b": "c"}),
        ("cwd", "/tmp\x1b[2J"),
        ("model", "m" * 200),
    ],
)
def test_a_session_that_does_not_fit_is_refused_by_field(
    house: Keeper, field: str, value: Any
) -> None:
    with pytest.raises(RefusedError) as refusal:
        announce(house, **{field: value})
    assert refusal.value.field is not None
    assert refusal.value.field.split(".")[0] == field
    assert house.read(lambda tx: tx.revision()) == 1


def test_a_nodes_own_token_reports_its_own_sessions_alone(house: Keeper) -> None:
    with pytest.raises(RefusedError) as refusal:
        house.write(
            lambda tx: found.announce(tx, "n1", session(), by=node("n2"), settings=house.settings)
        )
    assert refusal.value.code == "not_your_node"
    with pytest.raises(RefusedError) as unknown:
        house.write(
            lambda tx: found.announce(tx, "n9", session(), by=ADMIN, settings=house.settings)
        )
    assert unknown.value.code == "not_found"
