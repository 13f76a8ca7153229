"""Events as lines and bodies."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.eventlines import BODY_LIMIT, LINE_LIMIT, body_lines, event_line
from runwatch_shared.states import EVENT_TYPES
from tests.console.driving import is_harmless
from tests.console.records import event

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=30)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["role", "content", "tool", "input", "output", "success", "exit_code", "error", "status",
         "duration_ms", "stdout", "stderr", "argv", "command", "path", "prompt", "items",
         "progress", "usage", "agent", "lane", "message", "code", "kind", "approved"]
    ),
    JSON,
    max_size=8,
)  # fmt: skip


def test_colours_of_a_programs_output_are_not_shown_and_other_controls_are() -> None:
    said = "\x1b[32mok\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 bell\x07 back\x08"
    for payload in ({"stdout": said}, {"stdout": f"\x1b[1m\n{said}"}):
        line = event_line(event(1, "command_output", payload))
        assert "ok link bell␇ back␈" in line.text
        assert "\n".join(body_lines(line)).strip() == "ok link bell␇ back␈"


@pytest.mark.parametrize(
    ("type_", "payload", "label", "text"),
    [
        ("message", {"role": "assistant", "content": "hello\nworld"}, "assistant", "hello"),
        ("message", {"stream": "stderr", "content": "oops"}, "stderr", "oops"),
        ("tool_use_start", {"tool": "Bash", "input": {"command": "make -q"}}, "Bash", "make -q"),
        ("tool_use_start", {"tool": "Odd", "input": {"a": 1}}, "Odd", '{"a":1}'),
        ("tool_result",
         {"success": False, "exit_code": 1, "duration_ms": 12_100, "output": "3 failed"},
         "result", "exit 1 · 12.1s · 3 failed"),
        ("command", {"argv": ["ls", "-l"]}, "$", "ls -l"),
        ("command_output", {"stdout": "line", "exit_code": 0}, "stdout", "exit 0 · line"),
        ("command_output", {"exit_code": 2}, "exit", "exit 2"),
        ("run_completed", {"status": "failed", "exit_code": 137, "error_code": "exit_nonzero"},
         "end", "failed · exit 137 · exit_nonzero"),
        ("approval_request", {"kind": "approval", "prompt": "git push?"}, "approval", "git push?"),
        ("progress", {"progress": 0.4, "items": [{"done": True}, {"done": False}]}, "progress",
         "40% · 1/2"),
        ("result",
         {"result": "ok", "usage": {"cost_usd": 0.5, "input_tokens": 10, "output_tokens": 5}},
         "result", "$0.50 · 15 tok · ok"),
        ("x_custom", {"message": "own"}, "x_custom", "own"),
    ],
)  # fmt: skip
def test_an_event_says_what_matters_in_one_line(
    type_: str, payload: dict[str, Any], label: str, text: str
) -> None:
    line = event_line(event(1, type_, payload))
    assert (line.label, line.text) == (label, text)


def test_failure_is_seen_on_the_line() -> None:
    assert event_line(event(1, "tool_result", {"success": False})).is_error
    assert event_line(event(1, "run_failed", {"error": "x"})).is_error
    assert not event_line(event(1, "tool_result", {"success": True})).is_error
    assert not event_line(event(1, "tool_result", {})).is_error


def test_a_result_without_success_is_neither_good_nor_bad() -> None:
    assert event_line(event(1, "tool_result", {"output": "x"})).glyph == "·"


@given(st.sampled_from([*EVENT_TYPES, "x_other"]), st.one_of(FIELDS, JSON))
def test_any_payload_gives_a_harmless_line_and_body(type_: str, payload: Any) -> None:
    line = event_line(event(1, type_, payload))
    assert is_harmless(line.text + line.label + line.lane + line.type)
    for text in body_lines(line):
        assert is_harmless(text)


def test_a_line_of_ten_megabytes_is_cut_and_says_that_there_is_more() -> None:
    line = event_line(event(1, "message", {"content": "x" * 10_000_000}))
    assert len(line.text) <= LINE_LIMIT
    assert line.more
    assert sum(map(len, body_lines(line))) <= BODY_LIMIT


def test_a_body_has_the_whole_text_in_its_lines() -> None:
    line = event_line(event(1, "message", {"content": "one\r\ntwo\tx\nthree"}))
    assert body_lines(line) == ["one", "two x", "three"]


def test_a_payload_that_is_no_object_is_no_failure() -> None:
    raw = msgspec.structs.replace(event(1), payload=msgspec.Raw(b'["a"]'))
    assert event_line(raw).text == ""


def test_escape_sequences_in_output_are_shown_not_obeyed() -> None:
    line = event_line(
        event(1, "command_output", {"stdout": "\x1b[31mred\x1b[0m \x1b]52;c;eA==\x07"})
    )
    assert "\x1b" not in line.text
    assert "red" in line.text
