"""What the reader of Gemini CLI's stream makes of lines the recordings do not have."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.agents.gemini_stream import HELD_CHARS, GeminiAdapter
from runwatch_nodemanager.agents.prices import Prices
from runwatch_nodemanager.agents.protocol import End
from runwatch_nodemanager.events import number_draft
from runwatch_shared.prices import ModelPrice
from tests.nodemanager.feeding import feed, likely

INIT = {"type": "init", "session_id": "s", "model": "auto"}
OK = {"type": "result", "status": "success", "stats": {}}
NAMES = [
    "type", "role", "content", "delta", "tool_id", "tool_name", "parameters", "status", "output",
    "error", "message", "severity", "stats", "models", "total_tokens", "input_tokens",
    "output_tokens", "cached", "timestamp", "todos", "description", "file_path", "session_id",
]  # fmt: skip
WORDS = [
    "init", "message", "tool_use", "tool_result", "error", "result", "assistant", "user",
    "success", "warning", "run_shell_command", "write_todos", "read_file", "in_progress",
    "2026-11-24T00:00:00.000Z",
]  # fmt: skip


def piece(text):
    return {"type": "message", "role": "assistant", "content": text, "delta": True}


def call(tool, tool_id="t1", timestamp=None, **parameters):
    line = {"type": "tool_use", "tool_name": tool, "tool_id": tool_id, "parameters": parameters}
    return line if timestamp is None else {**line, "timestamp": timestamp}


def outcome(status="success", tool_id="t1", **facts):
    return {"type": "tool_result", "tool_id": tool_id, "status": status, **facts}


@settings(max_examples=300, deadline=None)
@given(value=likely(NAMES, WORDS))
def test_no_shape_of_line_stops_the_reader_or_makes_an_event_that_cannot_be_sent(value):
    reader = GeminiAdapter(None)
    for draft in feed(reader, value, value):
        number_draft(draft, seq=1, moment_us=1, limit_bytes=256 * 1024)
    saved = msgspec.json.decode(msgspec.json.encode(reader.save()))
    for draft in GeminiAdapter(saved).end(End(code=0)):
        number_draft(draft, seq=2, moment_us=1, limit_bytes=256 * 1024)


@given(parts=st.lists(st.text(max_size=30), max_size=20))
def test_pieces_of_an_answer_are_one_message_with_all_their_lines(parts):
    reader = GeminiAdapter(None)
    drafts = feed(reader, *map(piece, parts), OK)
    messages = [draft for draft in drafts if draft.type == "message"]
    assert "".join(draft.payload["content"] for draft in messages) == "".join(parts)
    assert sum((draft.raw or "").count("\n") + 1 for draft in messages) == len(parts)
    assert len(messages) == (1 if parts else 0)


def test_a_long_answer_is_told_before_it_ends():
    reader = GeminiAdapter(None)
    (message,) = feed(reader, piece("x" * HELD_CHARS))
    assert message.payload["content"] == "x" * HELD_CHARS


def test_an_answer_that_was_cut_is_told_at_the_end():
    reader = GeminiAdapter(None)
    assert feed(reader, INIT, piece("half an"), piece(" answer"))[1:] == []
    message, last = reader.end(End(signal=9))
    assert message.payload == {"role": "assistant", "content": "half an answer"}
    assert last.type == "run_failed"


def test_noise_between_two_pieces_does_not_part_them():
    reader = GeminiAdapter(None)
    feed(reader, piece("a"))
    (noise,) = feed(reader, "YOLO mode is enabled.", stream="stderr")
    message, _ = feed(reader, piece("b"), OK)[:2]
    assert noise.payload["stream"] == "stderr"
    assert message.payload["content"] == "ab"


@pytest.mark.parametrize(
    ("lines", "end", "status", "code"),
    [
        ([INIT, OK], End(code=0), "done", None),
        ([INIT, OK], End(code=1), None, "exit_nonzero"),
        ([INIT], End(code=0), None, "no_result"),
        ([INIT, OK, INIT], End(code=0), None, "no_result"),
        ([], End(code=41), None, "login_missing"),
        ([], End(code=42), None, "start_failed"),
        ([], End(code=55), None, "start_failed"),
        ([INIT], End(code=53), None, "limit_reached"),
        ([INIT], End(code=145), None, "login_missing"),
        ([INIT], End(code=144), None, "exit_nonzero"),
        ([INIT, {"type": "result", "status": "error"}], End(code=0), None, "agent_error"),
        ([INIT], End(code=0, reason="user"), "cancelled", None),
        ([INIT], End(code=0, reason="node_stopped"), None, "interrupted"),
    ],
)
def test_the_end_follows_result_exit_status_and_who_asked(lines, end, status, code):
    reader = GeminiAdapter(None)
    feed(reader, *lines)
    last = reader.end(end)[-1]
    assert last.payload.get("status") == status
    assert last.payload.get("error_code") == code


def test_a_missing_login_is_told_in_the_programs_own_words():
    reader = GeminiAdapter(None)
    words = "Please set an Auth method in your settings.json or specify GEMINI_API_KEY"
    feed(reader, words, "at Object.<anonymous> (gemini.js:1:1)", stream="stderr")
    last = reader.end(End(code=41))[-1]
    assert words in last.payload["error"]
    assert last.payload["error_code"] == "login_missing"


def test_whether_a_command_succeeded_is_not_known():
    drafts = feed(GeminiAdapter(None), call("run_shell_command", command="false"), outcome())
    begun, result = drafts
    assert (begun.type, begun.payload["command"]) == ("command", "false")
    assert "success" not in result.payload
    assert result.payload["duration_ms"] == 1000


def test_a_call_took_as_long_as_the_agents_own_clock_says():
    begun = call("glob", timestamp="2026-11-24T00:00:00.100Z")
    ended = {**outcome(), "timestamp": "2026-11-24T00:00:00.350Z"}
    assert feed(GeminiAdapter(None), begun, ended)[1].payload["duration_ms"] == 250


def test_a_call_that_policy_forbids_is_a_warning_too():
    refused = {"type": "policy_violation", "message": "denied by policy"}
    _, result, warning = feed(
        GeminiAdapter(None), call("web_fetch"), outcome("error", error=refused)
    )
    assert (result.payload["success"], result.payload["error"]) == (False, "denied by policy")
    assert warning.payload["code"] == "permission_denied"


def test_todos_are_progress_with_the_one_under_way():
    todos = [
        {"description": "a", "status": "completed"},
        {"description": "b", "status": "pending"},
        {"description": "c", "status": "in_progress"},
    ]
    plan = feed(GeminiAdapter(None), call("write_todos", todos=todos))[1]
    assert plan.type == "progress"
    assert plan.payload["progress"] == pytest.approx(1 / 3)
    assert plan.payload["message"] == "c"
    assert plan.payload["items"][1] == {"text": "b", "done": False}


def test_errors_on_the_way_are_not_the_end():
    warning, error = feed(
        GeminiAdapter(None),
        {"type": "error", "severity": "warning", "message": "Loop detected"},
        {"type": "error", "severity": "error", "message": "blocked"},
    )
    assert (warning.type, warning.payload["message"]) == ("warning", "Loop detected")
    assert (error.type, error.payload["recoverable"]) == ("error", True)


def test_unknown_lines_are_forwarded_whole_and_counted():
    reader = GeminiAdapter(None)
    (draft,) = feed(reader, {"type": "thought", "text": "hm"})
    assert (draft.type, draft.payload) == ("x_gemini_thought", {"text": "hm"})
    assert reader.end(End(code=0))[-1].payload["unknown_lines"] == 1


STATS = {
    "total_tokens": 130,
    "input_tokens": 100,
    "output_tokens": 20,
    "cached": 60,
    "models": {
        "big": {"total_tokens": 120, "input_tokens": 95, "output_tokens": 18, "cached": 60},
        "small": {"total_tokens": 10, "input_tokens": 5, "output_tokens": 2, "cached": 0},
        "idle": {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0, "cached": 0},
    },
}


def priced(table):
    reader = GeminiAdapter(None, prices=Prices(table))
    return feed(reader, INIT, {**OK, "stats": STATS})[-1].payload["usage"]


def test_thoughts_are_output_and_cached_input_is_none():
    # Of the models: 120 - 95 and 10 - 5 are output, 7 and 3 of it thoughts.
    assert priced({}) == {
        "scope": "total",
        "input_tokens": 40,
        "output_tokens": 30,
        "cache_read_tokens": 60,
        "reasoning_tokens": 10,
        "session_id": "s",
        "model": "big",
    }


def test_each_model_has_its_own_price_and_one_without_makes_the_cost_unknown():
    big, small = ModelPrice(input=2, output=10), ModelPrice(input=1, output=4, cache_read=0)
    usage = priced({"big": big, "small": small})
    assert usage["cost_usd"] == pytest.approx((95 * 2 + 25 * 10 + 5 * 1 + 5 * 4) / 1e6)
    assert usage["cost_source"] == "price_table"
    assert "cost_usd" not in priced({"big": big})


@pytest.mark.parametrize("status", [41, 145])
def test_an_exit_status_that_means_no_login_is_an_event_of_its_own(status: int) -> None:
    reader = GeminiAdapter(None)
    events = reader.end(End(code=status))
    assert [event.type for event in events] == ["error", "run_failed"]
    assert events[0].payload["code"] == "auth_failed"
    assert [event.type for event in GeminiAdapter(None).end(End(code=42))] == ["run_failed"]
