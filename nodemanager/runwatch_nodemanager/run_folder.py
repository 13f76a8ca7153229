"""What lies where in a run's folder on the node, and the small files in it; starts no processes.

Standard library only, as the supervisor imports it.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runwatch_nodemanager.spool import sync_folder

LINE: Final = 1
"""Record kinds of a run's log. LINE: a whole line of standard output, without its line end."""
PART: Final = 2
"""A piece of a line of standard output; a LINE with the rest follows."""
ERROR_LINE: Final = 3
ERROR_PART: Final = 4
STARTED: Final = 5
"""JSON ``{pid, argv0, runtime}``: the agent runs."""
REFUSED: Final = 6
"""JSON ``{error, error_code}``: the agent never ran."""
STOPPING: Final = 7
"""JSON ``{reason}``: somebody asked for the end."""
EXITED: Final = 8
"""JSON ``{code, signal, reason, forced, leftovers, duration_ms}``: the last record of a run."""
GONE: Final = 9
"""JSON ``{error}``: written by a node manager that found neither process nor exit. The last."""

DROPPED: Final = 10
"""JSON ``{bytes, lines, streams}``: so much output of these, line ends counted, was not written for
want of room."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder: its log, its lock and how to talk to its supervisor."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def lock(self) -> Path:
        """Locked (flock) by the supervisor while it lives."""
        return self.path / "lock"

    @property
    def control(self) -> Path:
        """FIFO: one JSON line a request, node manager to supervisor."""
        return self.path / "control"

    @property
    def wake(self) -> Path:
        """FIFO: a byte whenever the log grew, supervisor to node manager."""
        return self.path / "wake"

    @property
    def supervisor(self) -> Path:
        return self.path / "supervisor.json"

    @property
    def errors(self) -> Path:
        """Standard error of the supervisor itself."""
        return self.path / "supervisor.err"

    @property
    def assignment(self) -> Path:
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.json"

    @property
    def changes(self) -> Path:
        """How the workspace was, and what the run changed."""
        return self.path / "changes"

    def create(self) -> None:
        """Make the folder and its FIFOs, readable by this user alone; existing ones stay."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for fifo in (self.control, self.wake):
            if not fifo.exists():
                os.mkfifo(fifo, 0o600)

    def supervised(self) -> bool:
        """Whether a supervisor holds the lock."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)

    def request(self, **order: Any) -> bool:
        """Send the supervisor an order; False if none listens."""
        try:
            descriptor = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            os.write(descriptor, json.dumps(order).encode() + b"\n")
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that it is the old or the new one after a power cut, mode 0600.

    Raises:
        OSError: It is the old one.
    """
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        left = memoryview(content)
        while left:
            # A disk that is nearly full takes a part, and refuses only what is asked then.
            left = left[os.write(descriptor, left) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_folder(path.parent)
