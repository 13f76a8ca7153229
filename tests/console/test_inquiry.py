"""What the console asks to explain a run, and which events it takes for evidence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.explanation import explanation, rule_text
from runwatch_console.inquiry import Inquiry, inquire, most_repeated
from runwatch_console.lens import Lens
from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError
from runwatch_console.toolcalls import call_key
from runwatch_shared.models import Event, QueueDetail, Step, WorkflowSummary
from tests.console.records import NOW_S, at, detail, event, server_info, summary, view, waiting
from tests.console.scripted import ScriptedApi

LENS = Lens(words=Words("en"), now_s=NOW_S)
RUN = "run-000000000001"
THRESHOLDS = server_info().health_thresholds


def call(seq: int, command: str, tool: str = "Bash") -> Event:
    return event(seq, "tool_use_start", {"tool": tool, "input": {"command": command}})


async def asked(row: WorkflowSummary, log: list[Event], **more: Any) -> tuple[Inquiry, ScriptedApi]:
    api = ScriptedApi()
    api.details[row.id] = detail(row, **more)
    api.logs[row.id] = log
    return await inquire(api, row.id), api


def shown(inquiry: Inquiry) -> list[tuple[str, int]]:
    return [(piece.why, piece.line.seq) for piece in inquiry.evidence]


def texts(inquiry: Inquiry) -> str:
    facts = explanation(inquiry.run, inquiry.detail, LENS, inquiry.thresholds)
    return "\n".join(fact.text for fact in facts)


async def test_a_loop_is_shown_by_the_repeated_calls_and_by_no_other() -> None:
    log = [call(n, "pytest -q" if n % 2 else f"ls {n}") for n in range(1, 13)]
    row = summary(health="looping", health_reason="same Bash call 6 of last 12")
    inquiry, api = await asked(row, log)
    assert shown(inquiry) == [("repeated", n) for n in (1, 3, 5, 7, 9, 11)]
    assert api.asked("events")[0].limit == 12
    assert "4 of the last 12 calls have the same tool and input" in texts(inquiry)


@pytest.mark.requirement("told.activity")
async def test_a_silence_is_shown_by_the_last_activity_and_heartbeats_are_none() -> None:
    log = [*(event(n) for n in range(1, 4)), event(4, "heartbeat"), event(5, "heartbeat")]
    row = summary(health="stalled", health_reason="silent", last_activity_at=at(420))
    inquiry, _ = await asked(row, log)
    assert shown(inquiry) == [("last", 2), ("last", 3)]
    assert "no event for 5m" in texts(inquiry)


async def test_a_slow_run_is_shown_by_its_longest_calls_and_the_one_still_open() -> None:
    steps = [
        Step(
            id=f"tool-{n}", kind="tool", name="Bash", seq=n, started_at=at(900),
            status="open" if n == 9 else "succeeded",
            duration_ms=None if n == 9 else n * 1_000,
        )
        for n in range(1, 10)
    ]  # fmt: skip
    row = summary(health="slow", health_reason="running over 45m")
    inquiry, _ = await asked(row, [call(n, f"c{n}") for n in range(1, 10)], steps=steps)
    assert ("open", 9) in shown(inquiry)
    assert [seq for why, seq in shown(inquiry) if why == "slowest"] == [6, 7, 8]


async def test_a_wait_is_shown_by_the_event_that_asked() -> None:
    log = [event(1), event(2, "approval_request", {"prompt": "push?"}), event(3)]
    inquiry, _ = await asked(summary(waiting=waiting(seq=2, open=2)), log)
    assert shown(inquiry) == [("asked", 2)]
    assert "2 are open" in texts(inquiry)
    without_seq, _ = await asked(summary(waiting=waiting()), log)
    assert shown(without_seq) == [("asked", 2)]


async def test_a_failure_is_shown_by_its_last_errors_and_its_end() -> None:
    log = [
        event(1),
        event(2, "tool_result", {"success": False, "error": "no such file"}, level="error"),
        event(3, "error", {"code": "x", "message": "gave up"}, level="error"),
        event(4, "run_failed", {"error": "gave up"}, level="error"),
    ]
    inquiry, _ = await asked(
        summary(status="failed", exit_code=137, error_code="exit_nonzero", error="killed"), log
    )
    assert shown(inquiry) == [("error", 2), ("error", 3), ("end", 4)]
    assert "signal 9" in texts(inquiry)
    assert "exit_nonzero" in texts(inquiry)


@pytest.mark.requirement("keys.explain")
async def test_a_queued_run_is_explained_node_by_node_and_asks_for_no_events() -> None:
    queue = [QueueDetail(node_id="n1", code="full", text="full (4/4)")]  # type: ignore[arg-type]
    row = summary(status="queued", queue_reason="n1 full (4/4)", queue_reason_code="full")
    inquiry, api = await asked(row, [], queue_detail=queue)
    assert "n1: full (4/4)" in texts(inquiry)
    assert api.asked("events") == []


async def test_a_run_nobody_hears_of_is_shown_by_what_was_last_heard() -> None:
    inquiry, _ = await asked(summary(state="unknown", attention=3), [event(1), event(2)])
    assert shown(inquiry) == [("last", 1), ("last", 2)]


async def test_a_healthy_run_is_said_to_be_healthy() -> None:
    inquiry, api = await asked(summary(), [event(1)])
    assert "nothing wrong" in texts(inquiry)
    assert api.asked("events") == []


@pytest.mark.requirement("state.partial")
async def test_what_cannot_be_had_is_said_and_the_rest_is_there() -> None:
    api = ScriptedApi()
    api.details[RUN] = detail(summary(health="stalled", health_reason="silent"))
    api.refuse("events", ApiError("internal", "store \x1b[31mgone", status=500))
    api.refuse("server_info", ApiError("internal", "no info", status=500))
    inquiry = await inquire(api, RUN)
    assert inquiry.problem == "no info"
    assert inquiry.evidence == ()
    assert "silent" in texts(inquiry)
    api.refusals.pop("server_info")
    assert "\x1b" not in (await inquire(api, RUN)).problem


async def test_a_run_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ApiError):
        await inquire(ScriptedApi(), RUN)


@pytest.mark.parametrize("health", ["looping", "stalled", "slow", "stuck_queued", "waiting_long"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_flag_has_its_rule_in_both_languages(health: str, language: str) -> None:
    lens = Lens(words=Words(language), now_s=NOW_S)
    assert rule_text(health, THRESHOLDS, lens)
    assert rule_text(health, {}, lens) == ""


def test_calls_are_the_same_whatever_the_order_of_their_fields() -> None:
    one = event(1, "tool_use_start", {"tool": "Edit", "input": {"a": 1, "b": {"c": 2, "d": 3}}})
    two = event(2, "tool_use_start", {"tool": "Edit", "input": {"b": {"d": 3, "c": 2}, "a": 1}})
    other = event(3, "tool_use_start", {"tool": "Edit", "input": {"a": 1, "b": {"c": 2}}})
    assert call_key(one) == call_key(two)
    assert call_key(one) != call_key(other)
    assert call_key(one).tool == "Edit"


@given(st.lists(st.sampled_from(["ls", "pwd", "make", "git log"]), max_size=30))
def test_the_repeated_calls_are_all_the_same_and_no_other_call_came_oftener(
    commands: list[str],
) -> None:
    found = most_repeated([view(call(n, text)) for n, text in enumerate(commands, 1)])
    assert len({call_key(each) for each in found}) <= 1
    most = max((commands.count(text) for text in commands), default=0)
    assert len(found) == (most if most > 1 else 0)
