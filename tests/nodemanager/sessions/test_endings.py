"""When a session is judged over, and when it waits for a person."""

from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.sessions.endings import Standing, judge
from runwatch_nodemanager.sessions.head import Head
from runwatch_nodemanager.sessions.naming import labels_of, name_of
from runwatch_nodemanager.sessions.processes import Running, agent_of_words, look_at_processes
from runwatch_nodemanager.sessions.roots import Place
from runwatch_shared.text import has_control

IDLE_S = 1800.0
HOUR_S = 3600.0


def standing(**facts: Any) -> Standing:
    usual: dict[str, Any] = {
        "turn": "done",
        "error": None,
        "quiet_s": 0.0,
        "alive": None,
        "seen": True,
        "interactive": True,
        "waiting": False,
    }
    return Standing(**{**usual, **facts})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"quiet_s": 5}, None),
        ({"quiet_s": 1799}, None),
        ({"quiet_s": 1800}, ("done", None, "silent for 30 min")),
        ({"alive": False, "quiet_s": 5}, None),
        ({"alive": False, "quiet_s": 10}, ("done", None, "its process is gone")),
        ({"alive": False, "quiet_s": 10, "turn": "working"}, ("failed", "interrupted", None)),
        (
            {"alive": False, "quiet_s": 10, "turn": "failed", "error": "no login"},
            ("failed", "agent_error", None),
        ),
        ({"alive": False, "seen": False, "quiet_s": 59}, None),
        ({"alive": False, "seen": False, "quiet_s": 60}, ("done", None, "no process of it runs")),
        ({"alive": False, "seen": False, "quiet_s": 1700, "turn": "working"}, None),
        (
            {"alive": False, "seen": False, "quiet_s": 1800, "turn": "working"},
            ("failed", "interrupted", "silent for 30 min"),
        ),
        ({"turn": "working", "quiet_s": 5 * HOUR_S}, None),
        ({"turn": "working", "quiet_s": 6 * HOUR_S}, ("failed", "interrupted", "silent for 6 h")),
        ({"turn": "working", "quiet_s": 9 * HOUR_S, "alive": True}, None),
        ({"alive": True, "quiet_s": 1800}, ("done", None, "silent for 30 min")),
        ({"alive": True, "quiet_s": 1}, None),
        ({"alive": True, "quiet_s": 60, "waiting": True}, None),
        ({"alive": True, "quiet_s": 60, "interactive": False}, None),
        ({"alive": True, "quiet_s": 60, "turn": "working"}, None),
    ],
)
def test_a_session_is_judged_by_its_process_its_silence_and_its_turn(
    facts: dict[str, Any], expected: tuple[str, str | None, str | None] | None
) -> None:
    draft = judge(standing(**facts), idle_s=IDLE_S)
    if expected is None:
        assert draft is None
        return
    assert draft is not None
    assert draft.type == "run_completed"
    status, code, inferred_from = expected
    assert (draft.payload["status"], draft.payload.get("error_code")) == (status, code)
    if inferred_from is not None:
        assert draft.payload["inferred_from"] == inferred_from


def test_a_living_session_whose_turn_is_done_waits_for_its_person() -> None:
    for turn in ("done", "failed"):
        draft = judge(standing(alive=True, quiet_s=5, turn=turn), idle_s=IDLE_S)
        assert draft is not None
        assert draft.type == "approval_request"
        assert draft.payload["kind"] == "input"


@pytest.mark.parametrize(
    ("words", "agent_type"),
    [
        (["claude"], "claude-code"),
        (["/usr/bin/codex", "exec"], "openai-codex"),
        (["node", "--no-warnings", "/usr/bin/gemini"], "gemini-cli"),
        (
            ["/usr/bin/node", "/opt/lib/node_modules/@qwen-code/qwen-code/cli.js"],
            "qwen-code",
        ),
        (["node", "/x/anthropic.claude-code-2.1.0/resources/cli.js"], "claude-code"),
        (["vim", "claude"], None),
        (["bash", "-c", "claude"], None),
        ([""], None),
        ([], None),
    ],
)
def test_an_agent_is_known_by_its_command_line(words: list[str], agent_type: str | None) -> None:
    assert agent_of_words(words) == agent_type


def test_whether_a_session_lives_is_said_only_where_it_is_known(tmp_path: Path) -> None:
    running = Running(known=True, folders={"claude-code": {"/work"}})
    assert running.alive("claude-code", "/work") is True
    assert running.alive("claude-code", "/else") is None
    assert running.alive("openai-codex", "/work") is False
    assert Running().alive("claude-code", "/work") is None
    assert look_at_processes(tmp_path / "nothing") == Running()
    assert look_at_processes().known


def test_names_and_labels_of_hostile_sessions_fit_the_contract() -> None:
    head = Head(
        cwd="/home/user/\x1b[2Jevil\u202ename" + "x" * 300,
        prompt="a\x00b\x07" + "y" * 5000 + "\ud800",
    )
    place = Place(agent_type="claude-code", session="s1")
    name, labels = name_of(head, place), labels_of(head)
    assert labels["source"] == "session"
    for text in (name, *labels.values()):
        assert 0 < len(text) <= 200
        assert not has_control(text)
    assert name_of(Head(), place) == "s1"
