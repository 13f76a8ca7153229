"""What a person does with the console in tmux; each script can be run by hand as well."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import BIN

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def play(script: str) -> None:
    """One script, to its end."""
    done = subprocess.run(
        [str(Path(__file__).with_name(script)), str(BIN)],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(180)
@needs_tmux
@needs_curl
def test_the_whole_path_is_driven_in_tmux() -> None:
    play("whole_path_in_tmux.sh")


@pytest.mark.timeout(180)
@needs_tmux
@needs_curl
def test_a_morning_of_an_ops_person_is_played_in_tmux() -> None:
    play("ops_morning_in_tmux.sh")


@pytest.mark.requirement("screen.auth.begin", "screen.auth.phases", "screen.auth.input")
@pytest.mark.timeout(180)
@needs_tmux
@needs_curl
def test_a_login_is_begun_and_finished_in_tmux_and_what_waited_for_it_begins() -> None:
    play("login_in_tmux.sh")
