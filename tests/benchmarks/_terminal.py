"""A program on a terminal of its own, and the moment something stands on it.

The bytes are looked at as they come: what they show is known without drawing them.
"""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

SIZE: Final = (50, 160)
"""Lines and columns."""
KEPT_BYTES: Final = 256 * 1024
START_LIMIT_S: Final = 30.0


class Terminal:
    """A program whose screen is a pseudo-terminal; it must be closed, which ends the program.

    Args:
        command: The program and what it is given.
        environment: All of it; a terminal's own variables are added.
    """

    def __init__(self, command: list[str], environment: dict[str, str], cwd: Path) -> None:
        self.begun_s = time.perf_counter()
        self.fd, inner = os.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        lines, columns = (str(number) for number in SIZE)
        self.process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            cwd=cwd,
            start_new_session=True,
            env=environment
            | {
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "LINES": lines,
                "COLUMNS": columns,
                "LANG": "C.UTF-8",
            },
        )
        os.close(inner)
        self.seen = b""
        self.received = 0
        """Bytes since the start."""

    def press(self, keys: str) -> float:
        """Type, and forget what was seen before; gives the moment the first byte went."""
        self.seen = b""
        begun = time.perf_counter()
        os.write(self.fd, keys.encode())
        return begun

    def read(self, limit_s: float) -> bool:
        """Take what comes within the limit; whether anything did."""
        ready, _, _ = select.select([self.fd], [], [], max(0.0, limit_s))
        if not ready:
            return False
        try:
            came = os.read(self.fd, 65536)
        except OSError:
            raise AssertionError(f"the program ended: {self.seen[-300:]!r}") from None
        self.received += len(came)
        self.seen = (self.seen + came)[-KEPT_BYTES:]
        return True

    def wait_for(self, pattern: "re.Pattern[bytes]", limit_s: float = START_LIMIT_S) -> float:
        """The moment the bytes since the last key have this in them."""
        deadline = time.perf_counter() + limit_s
        while not pattern.search(self.seen):
            left = deadline - time.perf_counter()
            assert left > 0, f"waited {limit_s} s for {pattern.pattern!r}: {self.seen[-2000:]!r}"
            self.read(left)
        return time.perf_counter()

    def watch(self, seconds: float) -> None:
        """Read for so long, as a terminal does."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.read(left)

    def turn(self) -> None:
        """Begin or end the changes of a program that takes SIGUSR1 so."""
        os.kill(self.process.pid, signal.SIGUSR1)

    def cpu_s(self) -> float:
        """Processor time of the program until now, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Memory of the program that is in RAM now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(START_LIMIT_S)
        os.close(self.fd)


def compiled_environment(environment: dict[str, str]) -> dict[str, str]:
    """The environment without what keeps Python from using compiled modules."""
    return {
        name: value
        for name, value in environment.items()
        if name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
    }


def compile_modules(*folders: Path) -> None:
    """Compile what the measured programs import, as an installed console is."""
    command = [sys.executable, "-m", "compileall", "-q", *map(str, folders)]
    subprocess.run(
        command,
        env=compiled_environment(dict(os.environ)),
        check=False,  # a package's own samples need not compile
        stdout=subprocess.DEVNULL,
        timeout=300,
    )
