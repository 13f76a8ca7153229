"""A container in place of a process tree, as the supervisor sees it: behind a relay of its own.

The relay (`runtimes.relaying`) makes the container, copies its output to the supervisor's pipes and
ends as it ends. It is told signals over a pipe, whose end tells it that the supervisor is gone.
Standard library only, as the supervisor imports it.
"""

import contextlib
import errno
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from runwatch_nodemanager.process_tree import ProcessTree

RELAY: Final = (sys.executable, "-I", "-m", "runwatch_nodemanager.runtimes.relaying")
START_S: Final = 45.0
"""How long an engine may take to make and start a container; a big image is copied first by some.
"""
KILL_S: Final = 10.0
"""How long a relay may go on that was told to kill: its engine does not answer."""
REPORT_BYTES: Final = 65536


class ContainerTree(ProcessTree):
    """See `ProcessTree`; the leader is the relay.

    Args:
        order: What the relay is to make, as `runtimes.docker` writes it.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__()
        self._order = order
        self._control = -1
        self._kill_asked_at: float | None = None

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: dict[str, str],
        stdin: str | None,
        out: int,
        err: int,
    ) -> None:
        """Make and start the container; returns when it runs.

        ``argv``, ``cwd`` and ``stdin`` are in the order already; ``env`` is the relay's own.

        Raises:
            OSError: It does not run; FileNotFoundError if the image lacks the program.
        """
        control_read, self._control = os.pipe()
        report, report_write = os.pipe()
        os.set_blocking(self._control, False)
        try:
            self._spawn(
                [*RELAY, str(control_read), str(report_write)],
                cwd="/",
                env=env,
                stdin=json.dumps(self._order),
                out=out,
                err=err,
                pass_fds=(control_read, report_write),
                tied=False,
            )
        finally:
            os.close(control_read)
            os.close(report_write)
        with contextlib.closing(os.fdopen(report, "rb", buffering=0)):
            answer = _first_line(report, START_S)
        self._take(answer, program=argv[0])

    def _take(self, answer: bytes, *, program: str) -> None:
        try:
            told = json.loads(answer)
        except ValueError:
            error = f"the container did not start within {START_S:.0f} s, or its relay ended"
            told = {"error": error, "error_code": "start_failed"}
        if "error" not in told:
            self.facts = told
            return
        # Its pipe ends, so that the relay removes what there is of the container.
        os.close(self._control)
        self._control = -1
        number = errno.ENOENT if told["error_code"] == "agent_missing" else errno.EIO
        raise OSError(number, told["error"], program)

    def signal(self, number: int) -> None:
        """To all processes of the container; after its end to what is left of the relay."""
        if self.status is not None or self._overdue(number):
            super().signal(number)
            return
        with contextlib.suppress(OSError):
            os.write(self._control, f"{int(number)}\n".encode())

    def reap(self) -> bool:
        led = super().reap()
        if led and os.WIFSIGNALED(self.status or 0):
            self._remove()
        return led

    def _overdue(self, number: int) -> bool:
        if number != signal.SIGKILL:
            return False
        now = time.monotonic()
        if self._kill_asked_at is None:
            self._kill_asked_at = now
        return now - self._kill_asked_at > KILL_S

    def _remove(self) -> None:
        """The relay was killed: have another one remove the container."""
        order = {**self._order, "remove": self.facts.get("container")}
        leader = self.pid
        null = os.open(os.devnull, os.O_RDWR)
        try:
            with contextlib.suppress(OSError):
                self._spawn(
                    [*RELAY],
                    cwd="/",
                    env={"PATH": os.defpath},
                    stdin=json.dumps(order),
                    out=null,
                    err=null,
                    tied=False,
                )
        finally:
            os.close(null)
            self.pid = leader


def _first_line(descriptor: int, timeout_s: float) -> bytes:
    """What was written up to the first line end; less if the writer is gone or the time over."""
    deadline = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            break
        chunk = os.read(descriptor, REPORT_BYTES)
        if not chunk:
            break
        line += chunk
    return line
