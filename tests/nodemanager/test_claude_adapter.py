"""What the reader of Claude Code's stream makes of lines the recordings do not have."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.agents.claude import ClaudeAgent
from runwatch_nodemanager.agents.claude_stream import ClaudeAdapter
from runwatch_nodemanager.agents.protocol import AgentError, Draft, End, Line
from runwatch_nodemanager.events import number_draft
from runwatch_shared.models import Agent, Snapshot, TaskId

RESULT_OK = {"type": "result", "subtype": "success", "is_error": False, "result": "fine"}


def feed(*values, adapter=None, stream="stdout"):
    reader = adapter or ClaudeAdapter(None)
    drafts: list[Draft] = []
    for number, value in enumerate(values):
        text = value if isinstance(value, str) else json.dumps(value)
        drafts += reader.line(Line(stream=stream, text=text, moment_us=1_000_000 * (number + 1)))
    return drafts


def end_after(*values, end):
    adapter = ClaudeAdapter(None)
    feed(*values, adapter=adapter)
    return adapter.end(end)[-1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = [
    "type", "subtype", "message", "content", "usage", "id", "model", "tool_use_id", "is_error",
    "error", "errors", "session_id", "event", "parent_tool_use_id", "rate_limit_info",
    "tool_use_result", "modelUsage", "total_cost_usd", "resetsAt", "status", "request", "input",
    "name", "result", "permission_denials",
]  # fmt: skip
WORDS = [
    "system", "assistant", "user", "result", "stream_event", "rate_limit_event",
    "control_request", "init", "api_retry", "task_started", "hook_response", "text", "thinking",
    "tool_use", "tool_result", "success", "can_use_tool", "message_start",
]  # fmt: skip
likely = st.recursive(
    json_values | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(value=st.dictionaries(st.sampled_from(NAMES), likely, max_size=8))
def test_no_shape_of_line_stops_the_reader_or_makes_an_event_that_cannot_be_sent(value):
    adapter = ClaudeAdapter(None)
    for draft in feed(value, value, adapter=adapter):
        number_draft(draft, seq=1, moment_us=1, limit_bytes=256 * 1024)
    saved = msgspec.json.decode(msgspec.json.encode(adapter.save()))
    number_draft(ClaudeAdapter(saved).end(End(code=0))[-1], seq=2, moment_us=1, limit_bytes=4096)


@given(text=st.text(max_size=200))
def test_a_line_that_is_no_json_object_becomes_a_message_with_its_stream(text):
    try:
        if isinstance(json.loads(text), dict):
            return
    except ValueError:
        pass
    (draft,) = feed(text)
    assert draft.type == "message"
    assert draft.payload["stream"] == "stdout"
    assert draft.payload["content"] == text


def test_standard_error_is_never_read_as_json():
    (draft,) = feed(RESULT_OK, stream="stderr")
    assert draft.type == "message"
    assert draft.payload["stream"] == "stderr"


def test_unknown_types_are_forwarded_and_counted_in_the_end():
    adapter = ClaudeAdapter(None)
    first, second = feed(
        {"type": "new thing!", "a": 1}, {"type": "system", "subtype": "odd"}, adapter=adapter
    )
    assert (first.type, first.payload) == ("x_claude_new_thing_", {"a": 1})
    assert second.type == "x_claude_odd"
    (third,) = feed({"type": "bill", "usage": {"input_tokens": 9}, "lane": 3}, adapter=adapter)
    assert third.payload == {"entry": {"usage": {"input_tokens": 9}, "lane": 3}}
    feed(RESULT_OK, adapter=adapter)
    assert adapter.end(End(code=0))[-1].payload["unknown_lines"] == 3


@pytest.mark.parametrize(
    ("lines", "end", "status", "code"),
    [
        ([RESULT_OK], End(code=0), "done", None),
        ([RESULT_OK], End(code=1), None, "exit_nonzero"),
        ([], End(code=0), None, "no_result"),
        ([], End(code=1), None, "exit_nonzero"),
        ([], End(signal=15), None, "exit_nonzero"),
        ([RESULT_OK | {"is_error": True}], End(code=0), None, "agent_error"),
        ([{"type": "result", "subtype": "error_max_turns"}], End(code=1), None, "limit_reached"),
        (
            [RESULT_OK | {"is_error": True, "api_error_status": 401}],
            End(code=1),
            None,
            "login_missing",
        ),
        ([RESULT_OK], End(code=0, reason="user"), "cancelled", None),
        ([], End(signal=15, reason="timeout"), "timeout", None),
        ([RESULT_OK], End(code=0, reason="node_stopped"), None, "interrupted"),
        ([], End(error="gone", error_code="interrupted"), None, "interrupted"),
    ],
)
def test_the_end_follows_result_exit_status_and_who_asked(lines, end, status, code):
    last = end_after(*lines, end=end)
    assert last.payload.get("status") == status
    assert last.payload.get("error_code") == code
    assert last.type == ("run_completed" if status else "run_failed")


def test_a_subagents_lines_carry_its_lane_and_the_call_that_began_it():
    call = {
        "type": "tool_use",
        "id": "toolu_abcdef",
        "name": "Agent",
        "input": {"subagent_type": "Explore"},
    }
    said = {"type": "text", "text": "hi"}
    drafts = feed(
        {"type": "assistant", "message": {"content": [call]}, "parent_tool_use_id": None},
        {"type": "assistant", "message": {"content": [said]}, "parent_tool_use_id": "toolu_abcdef"},
    )
    assert "lane" not in drafts[0].payload
    assert drafts[1].payload["lane"] == "Explore-abcdef"
    assert drafts[1].payload["parent_id"] == "toolu_abcdef"


def test_a_failed_tool_tells_exit_code_and_duration():
    call = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "false"}}
    outcome = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "is_error": True,
        "content": "Exit code 2\nno",
    }
    drafts = feed(
        {"type": "assistant", "message": {"content": [call]}},
        {"type": "user", "message": {"content": [outcome]}},
    )
    assert drafts[1].payload == {
        "id": "t1",
        "tool": "Bash",
        "success": False,
        "error": "Exit code 2\nno",
        "exit_code": 2,
        "duration_ms": 1000,
    }


def test_denials_are_warned_of_once_whichever_line_tells_them():
    denied = {"tool_name": "Bash", "tool_use_id": "t1"}
    drafts = feed(
        {"type": "system", "subtype": "permission_denied", **denied, "message": "no"},
        RESULT_OK | {"permission_denials": [denied, {"tool_name": "Write", "tool_use_id": "t2"}]},
    )
    warned = [d.payload["message"] for d in drafts if d.type == "warning"]
    assert warned == ["Bash: no", "Write: permission denied"]


def test_a_retry_is_a_warning_and_a_failed_login_an_error():
    retry = {
        "type": "system",
        "subtype": "api_retry",
        "attempt": 1,
        "max_retries": 2,
        "error_status": 529,
    }
    failed = {
        "type": "assistant",
        "error": "authentication_failed",
        "message": {"model": "<synthetic>", "content": [{"type": "text", "text": "Not logged in"}]},
    }
    warning, error = feed(retry, failed)
    assert (warning.type, warning.payload["code"]) == ("warning", "api_retry")
    assert (error.type, error.payload) == (
        "error",
        {"code": "auth_failed", "message": "Not logged in"},
    )


def test_a_todo_list_is_progress_with_its_items():
    todos = [{"content": "a", "status": "completed"}, {"content": "b", "status": "in_progress"}]
    call = {"type": "tool_use", "id": "t", "name": "TodoWrite", "input": {"todos": todos}}
    plan = feed({"type": "assistant", "message": {"content": [call]}})[1]
    assert plan.type == "progress"
    assert plan.payload["progress"] == 0.5
    assert plan.payload["items"] == [{"text": "a", "done": True}, {"text": "b", "done": False}]


def test_a_resumed_sessions_totals_are_those_of_this_run():
    adapter = ClaudeAdapter(None, resumed=True)
    line = RESULT_OK | {
        "total_cost_usd": 9.0,
        "usage": {"input_tokens": 5, "output_tokens": 7},
        "modelUsage": {"m": {"inputTokens": 500, "outputTokens": 700}},
    }
    usage = feed(line, line, adapter=adapter)[-1].payload["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (10, 14)
    assert "cost_usd" not in usage


def snapshot(prompt, model=None, **parameters):
    agent = Agent(type="claude-code", model=model, parameters=parameters)
    return Snapshot(task_id=TaskId("task-0"), name="t", agent=agent, prompt=prompt, labels={})


SECRET = {"PASSWORD": "hunter2-hunter2"}


@pytest.fixture
def claude_path(tmp_path):
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\necho '9.8.7 (Claude Code)'\n")
    program.chmod(0o755)
    return str(tmp_path)


def test_the_command_line_is_the_documented_one(claude_path, tmp_path):
    wanted = snapshot("do it", model="m", max_turns=3, allowed_tools=["Read", "Bash(ls:*)"], x=1)
    launch = ClaudeAgent().launch(wanted, cwd=tmp_path, env={"PATH": claude_path})
    assert launch.argv == (
        f"{claude_path}/claude",
        "-p",
        "do it",
        "--output-format",
        "stream-json",
        "--verbose",
        "--model=m",
        "--max-turns=3",
        "--allowedTools=Read,Bash(ls:*)",
    )
    assert launch.stdin is None


@pytest.mark.parametrize("prompt", ["--dangerously-skip-permissions", "x" * 200_000])
def test_a_prompt_that_is_no_argument_goes_to_standard_input(claude_path, tmp_path, prompt):
    launch = ClaudeAgent().launch(snapshot(prompt), cwd=tmp_path, env={"PATH": claude_path})
    assert prompt not in launch.argv
    assert launch.stdin == prompt


def test_a_prompt_with_a_value_of_the_environment_is_in_no_argument_list(claude_path, tmp_path):
    wanted = msgspec.structs.replace(snapshot("log in with hunter2-hunter2"), env=SECRET)
    launch = ClaudeAgent().launch(wanted, cwd=tmp_path, env={"PATH": claude_path, **SECRET})
    assert not any("hunter2" in argument for argument in launch.argv)
    assert launch.stdin == wanted.prompt


def test_a_model_cannot_smuggle_in_an_option(claude_path, tmp_path):
    wanted = snapshot("x", model="--dangerously-skip-permissions")
    launch = ClaudeAgent().launch(wanted, cwd=tmp_path, env={"PATH": claude_path})
    assert "--model=--dangerously-skip-permissions" in launch.argv


def test_without_the_program_the_agent_is_not_ready(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    offer = ClaudeAgent().offer()
    assert not offer.ready
    assert offer.reason == "claude is not on the PATH"
    with pytest.raises(AgentError) as caught:
        ClaudeAgent().launch(snapshot("x"), cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert caught.value.code == "agent_missing"


def test_the_offer_tells_the_version(claude_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{claude_path}:/usr/bin:/bin")
    offer = ClaudeAgent().offer()
    assert offer.ready
    assert offer.version == "9.8.7"
