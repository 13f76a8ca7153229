"""The agent and everything it starts, as the supervisor's descendants: start, signal, reap.

Standard library only, as the supervisor imports it.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runwatch_nodemanager.processes import descendants

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
NO_LIMITS: Final[Mapping[str, int]] = {}
RESOURCES: Final = {
    "memory_bytes": resource.RLIMIT_DATA,
    "open_files": resource.RLIMIT_NOFILE,
    "cpu_s": resource.RLIMIT_CPU,
}
CPU_GRACE_S: Final = 5
"""Between SIGXCPU, which a program may take as a wish, and SIGKILL."""


def adopt_orphans() -> None:
    """From now on what loses its parent below this process becomes its child, not init's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


class ProcessTree:
    """All living descendants of this process, led by the one that ``start`` made.

    Args:
        limits: Of ``RESOURCES``, for each process by itself; a higher one than this process may
            set has no effect.
    """

    def __init__(self, limits: Mapping[str, int] = NO_LIMITS) -> None:
        self.pid = 0
        self.status: int | None = None
        """The leader's wait status once it has ended."""
        self.facts: dict[str, Any] = {"runtime": "process"}
        """What else is told of what was started."""
        self._limits = limits

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
        """Start the leader in a session of its own; it dies if this process is killed.

        Args:
            stdin: Given as a file in memory that is its whole standard input; ``None`` is
                ``/dev/null``.

        Raises:
            OSError: It cannot be started.
        """
        self._spawn(argv, cwd=cwd, env=env, stdin=stdin, out=out, err=err)

    def _spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: dict[str, str],
        stdin: str | None,
        out: int,
        err: int,
        pass_fds: Sequence[int] = (),
        tied: bool = True,
    ) -> None:
        """As ``start``.

        Args:
            tied: It dies if this process is killed.
        """
        libc = ctypes.CDLL(None)
        parent = os.getpid()

        def prepare() -> None:
            if tied:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)
            for name, value in self._limits.items():
                _limit(RESOURCES[name], value, CPU_GRACE_S if name == "cpu_s" else 0)

        with contextlib.ExitStack() as stack:
            source: Any = subprocess.DEVNULL
            if stdin is not None:
                source = stack.enter_context(os.fdopen(os.memfd_create("stdin"), "w+b"))
                source.write(stdin.encode("utf-8", "surrogateescape"))
                source.seek(0)
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=source,
                stdout=out,
                stderr=err,
                start_new_session=True,
                pass_fds=pass_fds,
                preexec_fn=prepare,
            )
        self.pid = process.pid
        # All children are reaped in `reap`; Popen must not look for this one.
        process.returncode = 0

    def alive(self) -> list[int]:
        """Pids of all that live, the leader's too."""
        return descendants(os.getpid())

    def signal(self, number: int) -> None:
        """To the leader's process group and to each descendant that left it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if number == signal.SIGKILL or os.getpgid(pid) != self.pid:
                    os.kill(pid, number)

    def reap(self) -> bool:
        """Take the status of whoever ended; True if the leader did."""
        led = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return led
            if pid == 0:
                return led
            if pid == self.pid:
                self.status = status
                led = True


def _limit(kind: int, soft: int, grace: int) -> None:
    hard = resource.getrlimit(kind)[1]
    allowed = soft + grace if hard == resource.RLIM_INFINITY else min(soft + grace, hard)
    resource.setrlimit(kind, (min(soft, allowed), allowed))
