"""What the reader of Qwen Code's stream makes of lines the recordings do not have."""

import msgspec
import pytest
from hypothesis import given, settings

from runwatch_nodemanager.agents.prices import Prices
from runwatch_nodemanager.agents.protocol import End
from runwatch_nodemanager.agents.qwen_stream import QwenAdapter
from runwatch_nodemanager.events import number_draft
from runwatch_shared.prices import ModelPrice
from tests.nodemanager.feeding import feed, likely

INIT = {"type": "system", "subtype": "init", "session_id": "s", "model": "qwen3"}
OK = {"type": "result", "subtype": "success", "is_error": False, "result": "fine"}
BROKEN = {"type": "result", "subtype": "error_during_execution", "is_error": True}
NAMES = [
    "type", "subtype", "message", "content", "usage", "id", "model", "tool_use_id", "is_error",
    "error", "session_id", "event", "parent_tool_use_id", "input", "name", "result", "todos",
    "permission_denials", "text", "thinking", "qwen_code_version", "command", "input_tokens",
    "output_tokens", "cache_read_input_tokens",
]  # fmt: skip
WORDS = [
    "system", "assistant", "user", "result", "stream_event", "init", "text", "thinking", "tool_use",
    "tool_result", "success", "run_shell_command", "todo_write", "0.10.1", "[API Error: x]",
]  # fmt: skip


def said(*blocks, usage=None, parent=None):
    message = {"model": "qwen3", "content": list(blocks), "usage": usage or {}}
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent}


def call(tool, **given_input):
    return {"type": "tool_use", "id": "c1", "name": tool, "input": given_input}


def outcome(text, *, failed=False):
    block = {"type": "tool_result", "tool_use_id": "c1", "is_error": failed, "content": text}
    return {"type": "user", "message": {"content": [block]}}


@settings(max_examples=300, deadline=None)
@given(value=likely(NAMES, WORDS))
def test_no_shape_of_line_stops_the_reader_or_makes_an_event_that_cannot_be_sent(value):
    reader = QwenAdapter(None)
    for draft in feed(reader, value, value):
        number_draft(draft, seq=1, moment_us=1, limit_bytes=256 * 1024)
    saved = msgspec.json.decode(msgspec.json.encode(reader.save()))
    number_draft(QwenAdapter(saved).end(End(code=0))[-1], seq=2, moment_us=1, limit_bytes=4096)


@pytest.mark.parametrize(
    ("lines", "end", "status", "code"),
    [
        ([INIT, OK], End(code=0), "done", None),
        ([INIT, OK], End(code=1), None, "exit_nonzero"),
        ([INIT], End(code=0), None, "no_result"),
        ([INIT, BROKEN], End(code=1), None, "agent_error"),
        ([INIT], End(code=53), None, "limit_reached"),
        ([INIT], End(code=55), None, "limit_reached"),
        ([], End(code=52), None, "start_failed"),
        ([INIT], End(signal=15), None, "exit_nonzero"),
        ([INIT, OK], End(signal=15, reason="user"), "cancelled", None),
    ],
)
def test_the_end_follows_result_exit_status_and_who_asked(lines, end, status, code):
    reader = QwenAdapter(None)
    feed(reader, *lines)
    last = reader.end(end)[-1]
    assert last.payload.get("status") == status
    assert last.payload.get("error_code") == code


def test_a_limit_that_ends_without_a_result_is_told_as_it_told_it():
    reader = QwenAdapter(None)
    words = "Run aborted: tool-call budget of 2 exceeded (--max-tool-calls); observed 3."
    feed(reader, "Ripgrep not available: Falling back.", words, stream="stderr")
    last = reader.end(End(code=55))[-1]
    assert last.payload["error"].endswith(words)
    assert last.payload["error_code"] == "limit_reached"


def test_a_missing_key_is_a_missing_login():
    reader = QwenAdapter(None)
    words = "Missing API key for OpenAI-compatible auth."
    result, error = feed(reader, {**BROKEN, "error": {"message": words}})
    assert result.payload["error"] == words
    assert (error.payload["code"], error.payload["message"]) == ("auth_failed", words)
    assert reader.end(End(code=1))[-1].payload["error_code"] == "login_missing"


def test_an_api_error_among_the_messages_is_an_error_the_agent_may_recover_from():
    (draft,) = feed(QwenAdapter(None), said({"type": "text", "text": "[API Error: 503 busy]"}))
    assert (draft.type, draft.payload["recoverable"]) == ("error", True)


def test_a_failed_command_tells_its_exit_code():
    text = "Command: false\nOutput: (empty)\nExit Code: 7\nSignal: (none)"
    begun, result = feed(
        QwenAdapter(None),
        said(call("run_shell_command", command="false")),
        outcome(text, failed=True),
    )
    assert (begun.type, begun.payload["command"]) == ("command", "false")
    assert (result.payload["success"], result.payload["exit_code"]) == (False, 7)


@pytest.mark.parametrize(("version", "known"), [("0.10.1", False), ("0.24.4", True), (None, True)])
def test_versions_that_hide_a_failed_command_leave_its_success_unknown(version, known):
    result = feed(
        QwenAdapter(None),
        {**INIT, "qwen_code_version": version},
        said(call("run_shell_command", command="false")),
        outcome("no such file"),
    )[-1]
    assert result.payload.get("success") is (True if known else None)


def test_a_sub_agent_has_a_lane_of_its_own():
    begun, message = feed(
        QwenAdapter(None),
        said(call("agent", subagent_type="explorer", prompt="look")),
        said({"type": "text", "text": "looking"}, parent="c1"),
    )
    assert "lane" not in begun.payload
    assert message.payload["lane"] == "explorer-c1"
    assert message.payload["parent_id"] == "c1"


def test_todos_are_progress():
    todos = [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]
    plan = feed(QwenAdapter(None), said(call("todo_write", todos=todos)))[1]
    assert plan.payload == {
        "progress": 0.5,
        "items": [{"text": "a", "done": True}, {"text": "b", "done": False}],
        "message": "b",
    }


def test_denials_are_warned_of_once():
    denial = {"tool_name": "edit", "tool_use_id": "c9"}
    reader = QwenAdapter(None)
    drafts = feed(
        reader, {**OK, "permission_denials": [denial]}, {**OK, "permission_denials": [denial]}
    )
    warnings = [draft.payload for draft in drafts if draft.type == "warning"]
    assert [warning["message"] for warning in warnings] == ["edit: permission denied"]


def test_unknown_lines_are_forwarded_whole_and_counted():
    reader = QwenAdapter(None)
    first, second, block = feed(
        reader,
        {"type": "mood", "is": "good"},
        {"type": "system", "subtype": "weather"},
        said({"type": "hologram"}),
    )
    assert (first.type, first.payload) == ("x_qwen_mood", {"is": "good"})
    assert second.type == "x_qwen_weather"
    assert block.type == "x_qwen_block_hologram"
    assert reader.end(End(code=0))[-1].payload["unknown_lines"] == 2


USAGE = {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 80}


def test_each_model_call_is_added_and_the_result_replaces_the_sum():
    prices = Prices({"QWEN*": ModelPrice(input=1, output=2, cache_read=0.5)})
    turn, result = feed(
        QwenAdapter(None, prices=prices),
        said({"type": "text", "text": "a"}, usage=USAGE),
        {**OK, "usage": {"input_tokens": 300, "output_tokens": 30, "cache_read_input_tokens": 200}},
    )
    assert turn.payload["usage"] == {
        "scope": "turn",
        "input_tokens": 20,
        "output_tokens": 10,
        "cache_read_tokens": 80,
        "context_tokens": 110,
        "model": "qwen3",
        "cost_usd": pytest.approx((20 + 20 + 40) / 1e6),
        "cost_source": "price_table",
    }
    total = result.payload["usage"]
    assert (total["scope"], total["input_tokens"], total["output_tokens"]) == ("total", 100, 30)


def test_a_resumed_sessions_total_is_the_sum_of_this_runs_calls():
    reader = QwenAdapter(None, resumed=True)
    whole = {"input_tokens": 9000, "output_tokens": 900, "cache_read_input_tokens": 8000}
    said_twice = said({"type": "text", "text": "a"}, usage=USAGE)
    usage = feed(reader, said_twice, said_twice, {**OK, "usage": whole})[-1].payload["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["cache_read_tokens"]) == (
        40,
        20,
        160,
    )
