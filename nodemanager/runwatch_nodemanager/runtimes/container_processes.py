"""The processes of a container as this machine sees them, where its engine is on it too.

A signal sent to them here needs no program in the image and no help of the engine, whose API can
only signal the first one.
"""

import contextlib
import os
from pathlib import Path

from runwatch_nodemanager.processes import PROC, list_pids


def signal_container(container: str, first_pid: int, number: int) -> bool:
    """Signal all processes of a container but the first.

    Args:
        first_pid: The first one's, as the engine tells it.

    Returns:
        False if they cannot be told from others or may not be signalled by this user.
    """
    if not first_pid or container not in _text(PROC / str(first_pid) / "cgroup"):
        # The engine is on another machine, or in a virtual one, and so is that process.
        return False
    space = _space(first_pid)
    if not space or space == _space(os.getpid()):
        return False
    for pid in list_pids():
        if pid == first_pid or _space(pid) != space:
            continue
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        except PermissionError:
            return False
    return True


def _space(pid: int) -> str:
    """Which processes see each other; empty if that may not be known."""
    try:
        return os.readlink(PROC / str(pid) / "ns/pid")
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
