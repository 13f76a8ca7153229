"""`--no-mouse`, on a pseudo terminal: the terminal is never asked for the mouse."""

from pathlib import Path

import pytest

from tests.console.terminal import Terminal, clean_environment

ASKS = (b"?1000h", b"?1002h", b"?1003h", b"?1006h", b"?1015h")


def written(tmp_path: Path, *arguments: str, **environment: str) -> bytes:
    """What the console writes from its start to its end."""
    given = ("--server", "http://127.0.0.1:1", *arguments)
    with Terminal(given, clean_environment(tmp_path, TERM="xterm", **environment)) as terminal:
        terminal.until(lambda text: b"DISCONNECTED" in text)
        terminal.press(b"2")
        terminal.until(lambda text: b"TASK" in text)
        terminal.press(b"q")
        assert terminal.end() == 0
        return terminal.written


@pytest.mark.parametrize("way", ["flag", "environment"])
def test_without_the_mouse_the_terminal_is_not_asked_for_it(tmp_path: Path, way: str) -> None:
    text = (
        written(tmp_path, "--no-mouse")
        if way == "flag"
        else written(tmp_path, RUNWATCH_MOUSE="false")
    )
    assert not [code for code in ASKS if code in text]


def test_with_the_mouse_it_is(tmp_path: Path) -> None:
    assert b"?1000h" in written(tmp_path)
