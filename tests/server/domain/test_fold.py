"""What each type of event changes on its run (contract 9.3)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server.fold import Folded, begin, fold_events, is_end
from runwatch_server.rows import CancelRow, EventRow, RunFold, RunRow, ToolRow
from runwatch_server.standing import state_of
from runwatch_shared.settings import HealthThresholds
from runwatch_shared.states import EVENT_TYPES
from runwatch_shared.text import has_control
from tests.server.domain.making import NOW_US, SECOND_US, event, run_row


def folded(
    events: list[EventRow], row: RunRow | None = None, fold: RunFold | None = None
) -> Folded:
    return fold_events(
        row or run_row(),
        fold or RunFold(),
        events,
        now_us=events[-1].received_us,
        thresholds=HealthThresholds(),
    )


def test_a_batch_moves_the_last_seq_the_count_and_the_holes() -> None:
    row = folded([event(3, "thinking"), event(4, "thinking"), event(9, "thinking")]).row

    assert (row.last_seq, row.event_count, row.seq_holes) == (9, 3, 6)


def test_events_without_an_effect_leave_the_fold_as_it_was() -> None:
    fold = RunFold(tools={"Bash": ToolRow(tool="Bash")})

    result = folded([event(1, "message", {"role": "assistant", "content": "hello"})], fold=fold)

    assert result.fold is fold
    assert result.steps == []


def test_a_heartbeat_event_is_no_activity() -> None:
    row = folded([event(1, "thinking"), event(2, "heartbeat")]).row

    assert row.last_activity_us == NOW_US + SECOND_US


def test_activity_is_never_later_than_its_receipt() -> None:
    early = event(1, "thinking")._replace(at_us=NOW_US + 999 * SECOND_US)

    assert folded([early]).row.last_activity_us == early.received_us


def test_a_tool_call_opens_and_its_result_closes_it_by_id() -> None:
    result = folded(
        [
            event(1, "tool_use_start", {"id": "a", "tool": "Bash", "input": {"command": "ls"}}),
            event(2, "tool_use_start", {"id": "b", "tool": "Bash", "input": {"command": "pwd"}}),
            event(3, "tool_result", {"id": "a", "success": False}),
        ]
    )

    assert (result.row.tool_calls, result.row.tool_failures, result.row.open_tools) == (2, 1, 1)
    first, second = sorted(result.steps, key=lambda step: step.n)
    assert (first.status, first.seq, first.end_seq, first.detail) == ("failed", 1, 3, "ls")
    assert (second.status, second.ended_us) == ("open", None)
    assert result.row.activity_text == "Bash: pwd"


def test_a_result_without_id_closes_the_oldest_open_call_of_its_tool_else_the_only_one() -> None:
    opened = [
        event(1, "tool_use_start", {"id": "a", "tool": "Read"}),
        event(2, "tool_use_start", {"id": "b", "tool": "Bash"}),
        event(3, "tool_use_start", {"id": "c", "tool": "Bash"}),
    ]

    of_tool = folded([*opened, event(4, "tool_result", {"tool": "Bash", "success": True})])
    only = folded([opened[0], event(2, "tool_result", {"success": True})])

    assert [call.id for call in of_tool.fold.open_calls] == ["a", "c"]
    assert only.fold.open_calls == []


def test_a_result_that_fits_no_open_call_counts_as_a_call() -> None:
    result = folded([event(1, "tool_result", {"id": "x", "tool": "Grep", "success": True})])

    assert (result.row.tool_calls, result.row.open_tools) == (1, 0)
    assert [(step.name, step.status) for step in result.steps] == [("Grep", "succeeded")]


def test_a_command_inside_an_open_call_is_not_a_second_call() -> None:
    row = folded(
        [
            event(1, "tool_use_start", {"id": "a", "tool": "Bash"}),
            event(2, "command", {"id": "a", "command": "make"}),
            event(3, "command_output", {"id": "a", "stdout": "ok", "exit_code": 0}),
        ]
    ).row

    assert (row.tool_calls, row.tool_failures, row.open_tools) == (1, 0, 0)


def test_four_equal_calls_in_the_window_are_a_loop_and_others_end_it() -> None:
    same = [
        event(n, "tool_use_start", {"id": str(n), "tool": "Bash", "input": {"command": "pytest"}})
        for n in range(1, 5)
    ]
    looping = folded(same)
    others = [
        event(n, "tool_use_start", {"id": str(n), "tool": "Bash", "input": {"command": f"do {n}"}})
        for n in range(5, 15)
    ]

    assert looping.row.looping == "same Bash call 4 of last 4"
    assert folded(others, looping.row, looping.fold).row.looping is None


def test_equal_inputs_in_another_key_order_are_the_same_call() -> None:
    calls = [
        event(1, "tool_use_start", {"tool": "T", "input": {"a": 1, "b": 2}}),
        event(2, "tool_use_start", {"tool": "T", "input": {"b": 2, "a": 1}}),
    ]

    digests = {digest for _, digest in folded(calls).fold.recent_calls}

    assert len(digests) == 1


def test_an_approval_request_makes_the_run_wait_until_it_is_answered() -> None:
    asked = folded(
        [event(1, "approval_request", {"id": "q", "prompt": "push\x1b[31m to main?"})],
    )
    answered = folded(
        [event(2, "approval_response", {"id": "q", "approved": True})], asked.row, asked.fold
    )

    assert state_of(asked.row) == "waiting"
    assert asked.row.wait is not None
    assert asked.row.wait.prompt == "push to main?"
    assert state_of(answered.row) == "running"
    assert answered.row.waited_us == SECOND_US


def test_a_wait_without_id_ends_with_the_next_message_of_its_lane_only() -> None:
    asked = folded([event(1, "approval_request", {"prompt": "ok?"})])
    other_lane = folded(
        [event(2, "message", {"role": "assistant", "content": "x", "lane": "sub"})],
        asked.row,
        asked.fold,
    )
    same_lane = folded(
        [event(3, "message", {"role": "assistant", "content": "y"})],
        other_lane.row,
        other_lane.fold,
    )

    assert other_lane.row.open_waits == 1
    assert same_lane.row.open_waits == 0


def test_turn_usage_is_added_and_a_total_replaces_what_it_names() -> None:
    turn = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.5}
    total = {"scope": "total", "input_tokens": 30, "output_tokens": 9, "cost_usd": 0.7}

    usage = folded(
        [
            event(1, "message", {"content": "a", "usage": turn}),
            event(2, "message", {"content": "b", "usage": turn}),
            event(3, "result", {"usage": total}),
        ]
    ).row.usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cost_usd) == (30, 9, 0.7)
    assert usage.partial is False


def test_the_older_spelling_of_usage_is_read() -> None:
    payload = {
        "message": {"usage": {"input_tokens": 1, "cache_creation_input_tokens": 2}},
        "total_cost_usd": 0.25,
    }

    usage = folded([event(1, "result", payload)]).row.usage

    assert usage is not None
    assert (usage.cache_write_tokens, usage.cost_usd, usage.total_tokens) == (2, 0.25, 3)


def test_usage_of_two_agent_sessions_is_summed() -> None:
    def total(session: str, tokens: int) -> dict[str, Any]:
        return {"usage": {"session_id": session, "input_tokens": tokens, "output_tokens": 0}}

    usage = folded(
        [
            event(1, "result", total("one", 10)),
            event(2, "result", total("two", 5)),
            event(3, "result", total("one", 12)),
        ]
    ).row.usage

    assert usage is not None
    assert usage.input_tokens == 17
    assert usage.cost_usd is None
    assert usage.partial is True


def test_the_end_closes_what_is_open_and_gives_the_lease_back() -> None:
    result = folded(
        [
            event(1, "tool_use_start", {"id": "a", "tool": "Bash"}),
            event(2, "approval_request", {"prompt": "?"}),
            event(3, "run_completed", {"status": "failed", "exit_code": 137, "error": "memory"}),
        ]
    )

    row = result.row
    assert (row.status, row.exit_code, row.error, row.lease_kind) == ("failed", 137, "memory", None)
    assert (row.open_tools, row.open_waits, row.wait) == (0, 0, None)
    assert [step.status for step in result.steps] == ["unknown"]
    assert row.finished_us == NOW_US + 3 * SECOND_US


def test_cancelled_means_timeout_when_that_was_the_reason() -> None:
    cancel = CancelRow(requested_us=NOW_US, reason="timeout", by="server")

    row = folded([event(1, "run_completed", {"status": "cancelled"})], run_row(cancel=cancel)).row

    assert row.status == "timeout"


def test_a_run_completed_without_a_status_ends_nothing() -> None:
    result = event(1, "run_completed", {"usage": {"input_tokens": 3, "output_tokens": 1}})

    row = folded([result]).row

    assert not is_end(result)
    assert row.status == "running"
    assert row.usage is not None
    assert row.usage.input_tokens == 3


def test_a_run_begins_at_its_first_events_time_but_never_before_it_was_claimed() -> None:
    assigned = run_row(status="assigned", started_us=None)
    early = event(1, "run_started")._replace(at_us=NOW_US - 1000 * SECOND_US)

    assert begin(assigned, early).started_us == assigned.claimed_us
    assert begin(assigned, event(1, "run_started")).started_us == NOW_US + SECOND_US


def test_the_last_output_line_is_the_activity_of_a_plain_command() -> None:
    lines = [event(1, "command_output", {"stdout": "one\n"}), event(2, "command_output", {})]

    command = folded(lines, run_row(agent_type="command")).row
    agent = folded(lines, run_row(activity_text="Bash: ls")).row

    assert command.activity_text == "one"
    assert agent.activity_text == "Bash: ls"


def test_a_sub_agents_calls_and_tokens_are_kept_in_its_lane() -> None:
    result = folded(
        [
            event(1, "tool_use_start", {"id": "t1", "tool": "Agent"}),
            event(
                2, "tool_use_start", {"id": "t2", "tool": "Bash", "lane": "sub", "parent_id": "t1"}
            ),
            event(3, "tool_result", {"id": "t2", "success": False, "lane": "sub"}),
        ]
    )

    lane = result.fold.lanes["sub"]
    assert (lane.parent_seq, lane.tool_calls, lane.tool_failures) == (1, 1, 1)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_fields_of_another_type_are_ignored(kind: str) -> None:
    names = ("id", "tool", "input", "content", "status", "exit_code", "usage", "lane", "progress")
    wrongs: tuple[Any, ...] = (None, 7, True, "x", [], [{}], {}, -1.5)
    for wrong in wrongs:
        payload = {**dict.fromkeys(names, wrong), "error": wrong, "deadline": wrong, "argv": wrong}
        row = folded([event(1, kind, payload)]).row
        assert row.event_count == 1


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
payloads = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "tool",
            "input",
            "content",
            "usage",
            "lane",
            "status",
            "message",
            "success",
            "prompt",
        ]
    )
    | st.text(max_size=5),
    json_values,
    max_size=6,
)


@given(st.lists(st.tuples(st.sampled_from(EVENT_TYPES), payloads), min_size=1, max_size=12))
def test_any_batch_folds_the_same_whole_or_in_pieces(
    batch: list[tuple[str, dict[str, Any]]],
) -> None:
    events = [event(n + 1, kind, payload) for n, (kind, payload) in enumerate(batch)]
    ends = [n for n, one in enumerate(events) if is_end(one)]
    events = events[: ends[0] + 1] if ends else events

    whole = folded(events)
    row, fold = run_row(), RunFold()
    for one in events:
        row, fold, _ = folded([one], row, fold)

    now = whole.row.updated_us
    pieces = msgspec.structs.replace(row, updated_us=now, burn=whole.row.burn)
    assert pieces == whole.row
    assert msgspec.structs.replace(fold, spent=[]) == msgspec.structs.replace(whole.fold, spent=[])
    for text in (whole.row.activity_text, whole.row.error, whole.row.model):
        assert text is None or not has_control(text)


def test_commands_loop_when_they_are_the_same_not_when_their_lines_are() -> None:
    same = [event(seq, "command", {"argv": ["ls", "a b"]}) for seq in range(1, 4)]
    other = event(4, "command", {"argv": ["ls", "a", "b"]})
    elsewhere = event(4, "command", {"argv": ["ls", "a b"], "cwd": "/tmp"})
    again = event(4, "command", {"argv": ["ls", "a b"]})

    assert folded([*same, other]).row.looping is None
    assert folded([*same, elsewhere]).row.looping is None
    assert folded([*same, again]).row.looping == "same command call 4 of last 4"


def test_a_long_command_leaves_only_a_short_digest_behind() -> None:
    fold = folded([event(1, "command", {"command": "x" * 100_000})]).fold

    assert all(len(digest) <= 32 for _, digest in fold.recent_calls)


def test_a_call_known_by_its_result_only_pushes_older_ones_out_of_the_last_twelve() -> None:
    same = [event(seq, "tool_use_start", {"tool": "Bash", "input": 1}) for seq in range(1, 5)]
    results = [event(seq, "tool_result", {"id": str(seq), "tool": "Read"}) for seq in range(5, 14)]

    assert folded([*same, *results[:8]]).row.looping == "same Bash call 4 of last 12"
    assert folded([*same, *results]).row.looping is None
