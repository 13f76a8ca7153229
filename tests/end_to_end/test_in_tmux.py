"""The whole path as a person drives it, in tmux; the script can be run by hand as well."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import BIN

SCRIPT = Path(__file__).with_name("whole_path_in_tmux.sh")


@pytest.mark.timeout(180)
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_whole_path_is_driven_in_tmux() -> None:
    done = subprocess.run(
        [str(SCRIPT), str(BIN)], capture_output=True, text=True, timeout=170, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
