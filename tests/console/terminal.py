"""A console in a pseudo terminal of its own: the bytes it writes, and a terminal that answers."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PROGRAM = "import sys; from runwatch_console.cli import run; sys.exit(run(sys.argv[1:]))"
WAIT_S = 30.0
Answer = Callable[[bytes], bytes]
"""What the terminal sends back for what was written; empty for nothing."""


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the developer's own."""
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "RUNWATCH_DATA_DIR": str(home / "data"),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


class Terminal:
    """A child on a pseudo terminal; `written` is all it wrote so far."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        size: tuple[int, int] = (100, 30),
        answer: Answer = lambda _: b"",
    ) -> None:
        self._master, slave = pty.openpty()
        width, height = size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.written = b""
        self._answer = answer
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            start_new_session=True,
        )
        os.close(slave)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, done: Callable[[bytes], bool]) -> bytes:
        """Read until it holds of what was written, or the child has closed."""
        deadline = time.monotonic() + WAIT_S
        while not done(self.written):
            left = deadline - time.monotonic()
            assert left > 0, f"it never came; written: {self.written[-2000:]!r}"
            if not select.select([self._master], [], [], min(left, 0.2))[0]:
                continue
            try:
                piece = os.read(self._master, 65536)
            except OSError:
                break
            if not piece:
                break
            self.written += piece
            if reply := self._answer(piece):
                os.write(self._master, reply)
        return self.written

    def hang_up(self) -> int:
        """Let the terminal be gone; the exit code. The child has no signal of it."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDONLY)
        return self._process.wait(WAIT_S)

    def end(self) -> int:
        """Read to the end; the exit code."""
        self.until(lambda _: False)
        return self._process.wait(WAIT_S)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(WAIT_S)
        os.close(self._master)
