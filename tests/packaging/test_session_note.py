"""Whoever types `make run` is told that the sessions of the machine are shown, and how not to."""

from pathlib import Path

from local import sessions_note


def test_the_note_says_what_is_shown_and_how_it_is_switched_off(tmp_path: Path) -> None:
    environment = {"RUNWATCH_DATA_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    note = sessions_note(environment)
    assert note is not None
    assert "Claude Code, Codex, Gemini CLI and Qwen Code" in note
    assert "RUNWATCH_SESSIONS=false" in note
    assert sessions_note({**environment, "RUNWATCH_SESSIONS": "false"}) is None
