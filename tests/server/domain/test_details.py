"""One workflow with what stands behind it (contract 5.6, "Detail")."""

from typing import Any

import msgspec

from runwatch_server import details, records, sweeper, transitions
from runwatch_server.rows import RunRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.models import WorkflowDetail
from runwatch_shared.timestamps import format_time
from tests.server.domain.keeping import Keeper
from tests.server.domain.making import NOW_US, SECOND_US, run_row
from tests.server.domain.test_projection import report, start


def detail(keeper: Keeper, row: RunRow) -> WorkflowDetail:
    return keeper.read(lambda tx: details.detail(tx, keeper.run(row.id)))


def begun(keeper: Keeper, *reports: tuple[str, dict[str, Any]]) -> RunRow:
    keeper.online_node("n1")
    row = keeper.queued_run(prompt="do\x1b[2J it\nwell")
    keeper.wait(2)
    start(keeper, row)
    keeper.wait(1)
    for kind, payload in reports:
        report(keeper, row.id, kind, payload)
    return row


def test_a_queued_run_says_for_each_node_why_it_is_not_there(keeper: Keeper) -> None:
    keeper.online_node("n1", max_concurrent=0)
    row = keeper.queued_run()

    shown = detail(keeper, row)

    assert [(part.node_id, part.code) for part in shown.queue_detail] == [("n1", "full")]
    assert [(step.name, step.status) for step in shown.steps] == [("queued", "open")]
    assert (shown.events, shown.events_truncated) == ([], False)


def test_phases_and_tool_calls_are_steps_in_the_order_they_began(keeper: Keeper) -> None:
    row = begun(
        keeper,
        ("tool_use_start", {"id": "a", "tool": "Bash", "input": {"command": "make"}}),
        ("tool_result", {"id": "a", "success": False, "duration_ms": 1500}),
        ("run_completed", {"status": "failed", "error": "no"}),
    )

    shown = detail(keeper, row)

    steps = {step.name: step for step in shown.steps}
    assert {name: step.status for name, step in steps.items()} == {
        "queued": "succeeded",
        "assigned": "succeeded",
        "running": "failed",
        "Bash": "failed",
    }
    assert (steps["queued"].duration_ms, steps["Bash"].duration_ms) == (2000, 1500)
    assert (steps["Bash"].seq, steps["Bash"].end_seq, steps["Bash"].detail) == (1, 2, "make")
    assert shown.steps_total == 4
    assert [(tool.tool, tool.calls, tool.failures, tool.open) for tool in shown.tools] == [
        ("Bash", 1, 1, 0)
    ]
    assert shown.state_data.current_step is None


def test_lanes_begin_with_the_lead_and_share_out_the_calls(keeper: Keeper) -> None:
    row = begun(
        keeper,
        ("tool_use_start", {"id": "a", "tool": "Agent"}),
        ("tool_use_start", {"id": "b", "tool": "Bash", "lane": "sub", "parent_id": "a"}),
    )

    lead, sub = detail(keeper, row).lanes

    assert (lead.lane, lead.tool_calls, lead.open_tool) == ("lead", 1, "Agent")
    assert (sub.lane, sub.parent_seq, sub.tool_calls, sub.open_tool) == ("sub", 1, 1, "Bash")


def test_only_the_newest_hundred_events_come_with_a_detail(keeper: Keeper) -> None:
    row = begun(keeper, *(("message", {"content": str(n)}) for n in range(105)))

    shown = detail(keeper, row)

    assert [event.seq for event in shown.events] == list(range(6, 106))
    assert shown.events_truncated
    assert shown.events[-1].producer_id == "n1"
    assert shown.events[-1].data == shown.events[-1].payload


def test_a_prompt_is_shown_without_its_controls_but_with_its_lines(keeper: Keeper) -> None:
    assert detail(keeper, begun(keeper)).prompt == "do it\nwell"


def test_a_summary_without_usage_says_null_and_omits_what_is_not_there() -> None:
    shown = msgspec.json.decode(msgspec.json.encode(records.summary(run_row())))

    assert shown["usage"] is None
    assert not {"waiting", "end_time", "error", "burn", "health_reason"} & set(shown)
    assert shown["lease"] == {"kind": "explicit", "epoch": 1, "node_id": "n1"}


def test_a_run_on_a_silent_node_is_unknown_by_inference() -> None:
    shown = records.summary(run_row(node_silent=True, updated_us=NOW_US + SECOND_US))

    assert (shown.state, shown.attention) == ("unknown", 3)
    assert shown.status_source.kind == "inferred"


def test_an_unknown_state_is_dated_from_the_silence_whatever_changes_later(keeper: Keeper) -> None:
    row = begun(keeper, ("thinking", {}))
    silent_us = keeper.now_us

    def silent(tx: WriteTx) -> None:
        known = tx.runs.get(row.id)
        assert known is not None
        gone = msgspec.structs.replace(known, node_silent=True)
        transitions.change_run(tx, known, gone, settings=keeper.settings)

    keeper.write(silent)
    keeper.wait(600)
    keeper.write(lambda tx: sweeper.sweep(tx, settings=keeper.settings, amnesty=True))
    later = keeper.run(row.id)
    assert later.health == "stalled"
    assert records.summary(later).status_source.at == format_time(silent_us)

    def heard(tx: WriteTx) -> None:
        again = msgspec.structs.replace(later, node_silent=False)
        transitions.change_run(tx, later, again, settings=keeper.settings)

    keeper.write(heard)
    assert keeper.run(row.id).silent_since_us is None
    assert records.summary(keeper.run(row.id)).status_source.kind == "event"


def test_only_the_node_that_executes_a_run_sees_its_environment(keeper: Keeper) -> None:
    row = keeper.queued_run(env={"KEY": "secret"})
    spec = keeper.read(lambda tx: tx.runs.spec(row.id))
    assert spec is not None

    hidden = records.run_record(row, spec, None, show_env=False).snapshot.env
    shown = records.run_record(row, spec, None, show_env=True).snapshot.env

    assert (hidden, shown) == ({"KEY": "***"}, {"KEY": "secret"})
