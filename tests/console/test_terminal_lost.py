"""A console whose terminal is gone ends, and does not go on for nobody."""

from pathlib import Path

from runwatch_console.terminal_watch import EXIT_HUNG_UP
from tests.console.terminal import Terminal, clean_environment


def test_the_console_ends_with_its_terminal(tmp_path: Path) -> None:
    given = ("--server", "http://127.0.0.1:1")
    with Terminal(given, clean_environment(tmp_path, TERM="xterm")) as terminal:
        terminal.until(lambda text: b"DISCONNECTED" in text)
        assert terminal.hang_up() == EXIT_HUNG_UP
