"""What the reader of Codex's stream makes of lines the recordings do not have."""

import json

import msgspec
import pytest
from hypothesis import given, settings

from runwatch_nodemanager.agents.codex_stream import CodexAdapter
from runwatch_nodemanager.agents.prices import Prices
from runwatch_nodemanager.agents.protocol import End
from runwatch_nodemanager.events import number_draft
from runwatch_shared.prices import ModelPrice
from tests.nodemanager.feeding import feed, likely

THREAD = {"type": "thread.started", "thread_id": "0199-thread"}
TURN = {"type": "turn.started"}
USAGE = {"input_tokens": 100, "cached_input_tokens": 60, "output_tokens": 7}
DONE = {"type": "turn.completed", "usage": USAGE}
FAILED = {"type": "turn.failed", "error": {"message": "it broke"}}
NAMES = [
    "type", "item", "id", "item_type", "text", "command", "aggregated_output", "exit_code",
    "status", "changes", "path", "kind", "server", "tool", "arguments", "result", "error",
    "message", "query", "items", "completed", "agents_states", "receiver_thread_ids", "usage",
    "thread_id", "input_tokens", "output_tokens", "cached_input_tokens", "content",
]  # fmt: skip
WORDS = [
    "thread.started", "turn.started", "turn.completed", "turn.failed", "error", "item.started",
    "item.updated", "item.completed", "agent_message", "reasoning", "command_execution",
    "file_change", "mcp_tool_call", "web_search", "todo_list", "collab_tool_call", "declined",
    "completed", "failed", "delete",
]  # fmt: skip


def item(phase, kind, **facts):
    return {"type": f"item.{phase}", "item": {"id": "item_1", "type": kind, **facts}}


def ended(*lines, end, saved=None, resumed=False):
    reader = CodexAdapter(saved, resumed=resumed)
    feed(reader, *lines)
    return reader.end(end)[-1]


@settings(max_examples=300, deadline=None)
@given(value=likely(NAMES, WORDS))
def test_no_shape_of_line_stops_the_reader_or_makes_an_event_that_cannot_be_sent(value):
    reader = CodexAdapter(None)
    for draft in feed(reader, value, value):
        number_draft(draft, seq=1, moment_us=1, limit_bytes=256 * 1024)
    saved = msgspec.json.decode(msgspec.json.encode(reader.save()))
    number_draft(CodexAdapter(saved).end(End(code=0))[-1], seq=2, moment_us=1, limit_bytes=4096)


@pytest.mark.parametrize(
    ("lines", "end", "status", "code"),
    [
        ([THREAD, TURN, DONE], End(code=0), "done", None),
        ([THREAD, TURN, DONE], End(code=1), None, "exit_nonzero"),
        ([THREAD, TURN], End(code=0), None, "no_result"),
        ([THREAD, TURN, DONE, TURN], End(code=0), None, "no_result"),
        ([THREAD, TURN, FAILED], End(code=1), None, "agent_error"),
        ([THREAD, TURN, FAILED], End(code=0), None, "agent_error"),
        ([], End(code=2), None, "start_failed"),
        ([THREAD, TURN], End(signal=15), None, "exit_nonzero"),
        ([THREAD, TURN], End(signal=15, reason="user"), "cancelled", None),
        ([THREAD, TURN, DONE], End(code=0, reason="timeout"), "timeout", None),
    ],
)
def test_the_end_follows_the_last_turn_exit_status_and_who_asked(lines, end, status, code):
    last = ended(*lines, end=end)
    assert last.payload.get("status") == status
    assert last.payload.get("error_code") == code


@pytest.mark.parametrize(
    "words",
    [
        "unexpected status 401 Unauthorized: invalid x-api-key",
        "Missing environment variable: `OPENAI_API_KEY`.",
        "Your access token could not be refreshed. Please sign in again.",
    ],
)
def test_a_turn_that_failed_for_want_of_a_login_says_so(words):
    reader = CodexAdapter(None)
    (error,) = feed(reader, {"type": "turn.failed", "error": {"message": words}})
    assert (error.type, error.payload) == ("error", {"code": "auth_failed", "message": words})
    last = reader.end(End(code=1))[-1]
    assert (last.payload["error"], last.payload["error_code"]) == (words, "login_missing")


def test_a_number_that_happens_to_be_401_is_no_missing_login():
    reader = CodexAdapter(None)
    feed(reader, {"type": "turn.failed", "error": {"message": "context is 401 tokens too long"}})
    assert reader.end(End(code=1))[-1].payload["error_code"] == "agent_error"


def test_without_a_final_line_the_end_quotes_what_sounds_like_a_reason():
    reader = CodexAdapter(None)
    feed(
        reader,
        "WARNING: proceeding, even though we could not update PATH",
        "error: unexpected argument '--nope' found",
        "Usage: codex exec [OPTIONS] [PROMPT]",
        "For more information, try '--help'.",
        stream="stderr",
    )
    last = reader.end(End(code=2))[-1]
    assert last.payload["error"].endswith("error: unexpected argument '--nope' found")
    assert last.payload["error_code"] == "start_failed"


def test_errors_on_the_way_are_recoverable_and_retries_are_warnings():
    retry, error, notice = feed(
        CodexAdapter(None),
        {"type": "error", "message": "Reconnecting... 1/5 (timeout)"},
        {"type": "error", "message": "stream error"},
        item("completed", "error", message="Model metadata not found"),
    )
    assert (retry.type, retry.payload["code"]) == ("warning", "api_retry")
    assert (error.type, error.payload["recoverable"]) == ("error", True)
    assert (notice.type, notice.payload["message"]) == ("warning", "Model metadata not found")


def test_a_declined_command_is_a_failed_call_and_a_warning():
    began, ended_call, warning = feed(
        CodexAdapter(None),
        item("started", "command_execution", command="rm -rf x", status="in_progress"),
        item("completed", "command_execution", command="rm -rf x", status="declined"),
    )
    assert (began.type, began.payload) == ("command", {"id": "item_1", "command": "rm -rf x"})
    assert ended_call.payload["success"] is False
    assert ended_call.payload["error"] == "declined"
    assert ended_call.payload["duration_ms"] == 1000
    assert warning.payload["code"] == "permission_denied"


def test_a_call_told_only_at_its_end_still_has_a_beginning():
    begun, result, wrote, deleted = feed(
        CodexAdapter(None),
        item(
            "completed",
            "file_change",
            status="completed",
            changes=[{"path": "/a", "kind": "add"}, {"path": "/b", "kind": "delete"}],
        ),
    )
    assert (begun.type, begun.payload["id"]) == ("tool_use_start", "item_1")
    assert begun.payload["input"]["path"] == "/a"
    assert (result.type, result.payload["success"]) == ("tool_result", True)
    assert (wrote.type, wrote.payload["path"]) == ("file_write", "/a")
    assert (deleted.type, deleted.payload["path"]) == ("file_delete", "/b")


def test_a_change_that_failed_wrote_no_file():
    drafts = feed(
        CodexAdapter(None),
        item("completed", "file_change", status="failed", changes=[{"path": "/a", "kind": "add"}]),
    )
    assert [draft.type for draft in drafts] == ["tool_use_start", "tool_result"]
    assert drafts[1].payload["success"] is False


def test_tools_of_servers_carry_their_servers_name_arguments_and_answer():
    call = {"server": "docs", "tool": "search", "arguments": {"q": "x"}}
    content = [{"type": "text", "text": "found"}]
    begun, result = feed(
        CodexAdapter(None),
        item("started", "mcp_tool_call", status="in_progress", **call),
        item("completed", "mcp_tool_call", status="completed", result={"content": content}, **call),
    )
    assert begun.payload == {"id": "item_1", "tool": "mcp__docs__search", "input": {"q": "x"}}
    assert (result.payload["success"], result.payload["output"]) == (True, "found")
    (_, failed) = feed(
        CodexAdapter(None),
        item("completed", "mcp_tool_call", status="failed", error={"message": "no"}, **call),
    )
    assert (failed.payload["success"], failed.payload["error"]) == (False, "no")


def test_sub_agents_have_lanes_of_their_own():
    drafts = feed(
        CodexAdapter(None),
        item(
            "completed",
            "collab_tool_call",
            tool="wait",
            status="completed",
            agents_states={"0199-abcdef": {"status": "completed", "message": "counted"}},
        ),
    )
    assert drafts[-1].payload == {
        "lane": "agent-abcdef",
        "parent_id": "item_1",
        "message": "completed: counted",
    }


def test_unknown_lines_and_items_are_forwarded_whole_and_counted():
    reader = CodexAdapter(None)
    line, thing, old = feed(
        reader,
        {"type": "turn.paused", "why": 1},
        item("completed", "hologram", shape="cube"),
        {"id": "0", "msg": {"type": "agent_message"}},
    )
    assert (line.type, line.payload) == ("x_codex_turn_paused", {"why": 1})
    assert thing.type == "x_codex_item_hologram"
    assert thing.payload["item"]["shape"] == "cube"
    assert old.payload["msg"] == {"type": "agent_message"}
    assert reader.end(End(code=0))[-1].payload["unknown_lines"] == 3


def test_names_of_versions_before_0_45_are_understood():
    (message,) = feed(
        CodexAdapter(None),
        {"type": "item.completed", "item": {"id": "i", "item_type": "assistant_message",
                                            "text": "hi"}},
    )  # fmt: skip
    assert (message.type, message.payload["content"]) == ("message", "hi")


def test_input_leaves_out_what_the_cache_gave_and_took():
    told = {**USAGE, "cache_write_input_tokens": 10, "reasoning_output_tokens": 3}
    reader = CodexAdapter(None)
    usage = feed(reader, THREAD, {"type": "turn.completed", "usage": told})[-1].payload["usage"]
    assert usage == {
        "scope": "total",
        "input_tokens": 30,
        "output_tokens": 7,
        "cache_read_tokens": 60,
        "cache_write_tokens": 10,
        "reasoning_tokens": 3,
        "session_id": "0199-thread",
    }


def test_a_resumed_thread_counts_what_is_new():
    carried = {"input_tokens": 80, "cached_input_tokens": 50, "output_tokens": 5}
    reader = CodexAdapter({"carried": carried}, resumed=True)
    usage = feed(reader, THREAD, TURN, DONE)[-1].payload["usage"]
    assert (usage["input_tokens"], usage["cache_read_tokens"], usage["output_tokens"]) == (
        10,
        10,
        2,
    )


def test_a_resumed_thread_with_an_unknown_past_has_no_usage():
    result = feed(CodexAdapter(None, resumed=True), THREAD, TURN, DONE)[-1]
    assert result.type == "result"
    assert "usage" not in result.payload


def test_the_table_prices_the_model_the_run_was_given_and_no_other():
    prices = Prices({"gpt-*": ModelPrice(input=1.0, output=8.0, cache_read=0.1)})
    known = CodexAdapter({"model": "gpt-5.5"}, prices=prices)
    usage = feed(known, THREAD, DONE)[-1].payload["usage"]
    assert usage["cost_usd"] == pytest.approx((40 * 1.0 + 60 * 0.1 + 7 * 8.0) / 1e6)
    assert usage["cost_source"] == "price_table"
    for model in (None, "o9"):
        usage = feed(CodexAdapter({"model": model}, prices=prices), THREAD, DONE)[-1].payload[
            "usage"
        ]
        assert "cost_usd" not in usage


def test_the_command_is_shown_without_the_shell_around_it():
    for line, shown in (
        ("/bin/bash -lc 'ls -la'", "ls -la"),
        ("bash -lc \"echo 'a b'\"", "echo 'a b'"),
        ("git status", "git status"),
        ("/bin/bash -lc 'open", "/bin/bash -lc 'open"),
        ("python3 -c 'print(1)'", "python3 -c 'print(1)'"),
    ):
        (draft,) = feed(CodexAdapter(None), item("started", "command_execution", command=line))
        assert draft.payload["command"] == shown
        assert json.loads(draft.raw or "")["item"]["command"] == line
