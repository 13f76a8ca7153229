"""A program in a terminal of its own, as a process tree whose leader has that terminal."""

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from typing import Final

from runwatch_nodemanager.process_tree import PR_SET_PDEATHSIG, ProcessTree

ROWS: Final = 60
COLUMNS: Final = 1000
"""A page's address of several hundred characters must stand in one line: programs that draw cut
lines themselves, for good."""
READ_BYTES: Final = 64 * 1024


class Terminal:
    """See the module.

    Args:
        tied: The program dies if this process is killed.
    """

    def __init__(self, *, tied: bool = True) -> None:
        self.tree = ProcessTree()
        self._tied = tied
        self.descriptor = -1
        """What the program writes is read here, without blocking."""

    def start(self, argv: Sequence[str], *, cwd: str, env: dict[str, str]) -> None:
        """
        Raises:
            OSError: It cannot be started.
        """
        libc = ctypes.CDLL(None)
        parent, tied = os.getpid(), self._tied
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

        def prepare() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if tied:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)

        try:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                preexec_fn=prepare,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self.descriptor = ours
        self.tree.pid = process.pid
        # All children are reaped by the tree; Popen must not look for this one.
        process.returncode = 0

    def read(self) -> bytes | None:
        """What is there; ``None`` once nobody has the terminal any more."""
        try:
            return os.read(self.descriptor, READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            raise

    def type(self, text: str) -> None:
        """As from a keyboard; what a program that reads nothing cannot take is lost."""
        with contextlib.suppress(OSError):
            os.write(self.descriptor, text.encode())

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
