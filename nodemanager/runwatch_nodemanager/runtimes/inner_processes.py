"""The processes of one run among all others of an instance's container.

A run's processes carry its id in their environment, descend from the one that was started for it
and are of its session; one that was seen among them stays theirs, whatever it does to its
environment, parents and session. What leaves all three at once, before it is seen, ends with the
instance. Where this machine cannot see them, the image's shell is asked to signal them.
"""

import contextlib
import os
import signal
import threading
from typing import Final

from runwatch_nodemanager.processes import PROC, list_pids, read_process
from runwatch_nodemanager.runtimes.engine import Engine
from runwatch_nodemanager.runtimes.engine_address import EngineError
from runwatch_nodemanager.runtimes.workplace import SHELL

VARIABLE: Final = "RUNWATCH_RUN_ID"
ASKED: Final = (
    'for p in /proc/[0-9]*; do case "$(cat $p/environ 2>/dev/null)" in '
    "*{mark}*) {act};; esac; done; exit $found"
)
FOUND: Final = 3
"""What the image's shell ends with when there are some."""


class InnerProcesses:
    """Of one run.

    Args:
        container: Its id, whole.
        first_pid: The container's first process, as the engine tells it; 0 if it has none.
        run_id: What they carry.
    """

    def __init__(self, container: str, first_pid: int, run_id: str) -> None:
        self._container = container
        self._first_pid = first_pid
        self._mark = f"{VARIABLE}={run_id}"
        self._space = _space_of(container, first_pid)
        self._known: dict[int, int] = {}
        """Pids with their start, as a pid may be another process later."""
        self._session = 0
        """Of the one that was started; no other process gets its number while it has members."""
        self._lock = threading.Lock()

    @property
    def visible(self) -> bool:
        """Whether this machine sees them."""
        return bool(self._space)

    def adopt(self, pid: int) -> None:
        """Take this one and all that descend from it for the run's."""
        process = read_process(pid) if self._space and pid else None
        if process is not None:
            with self._lock:
                self._known[pid] = process.started_ticks
                self._session = process.session if self._own_session(process.session) else 0

    def look(self) -> list[int]:
        """Pids of those that live, where they are visible."""
        if not self._space:
            return []
        with self._lock:
            return self._look()

    def _look(self) -> list[int]:
        table = [process for pid in list_pids() if (process := read_process(pid)) is not None]
        living = {process.pid: process for process in table if process.state != "Z"}
        known = {
            pid: ticks
            for pid, ticks in self._known.items()
            if pid in living and living[pid].started_ticks == ticks
        }
        inside = [p for p in living.values() if p.pid not in known and self._inside(p.pid)]
        sessions = {living[pid].session for pid in known} | {self._session}
        sessions = {session for session in sessions if self._own_session(session)}
        known |= {
            p.pid: p.started_ticks for p in inside if p.session in sessions or self._marked(p.pid)
        }
        grown = True
        while grown:
            born = [p for p in inside if p.pid not in known and p.parent_pid in known]
            known |= {p.pid: p.started_ticks for p in born}
            grown = bool(born)
        self._known = known
        return sorted(known)

    def signal(self, engine: Engine, number: int) -> bool:
        """Signal all of them; whether there were any."""
        if not self._space:
            return self._ask(engine, f"kill -{int(number)} ${{p##*/}} 2>/dev/null; found={FOUND}")
        pids = self.look()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return bool(pids)

    def any(self, engine: Engine) -> bool:
        """Whether one of them lives."""
        if not self._space:
            return self._ask(engine, f"found={FOUND}")
        return bool(self.look())

    def kill(self, engine: Engine) -> None:
        """Signal them once with SIGKILL, and again what was born meanwhile."""
        for _ in range(10):
            if not self.signal(engine, signal.SIGKILL):
                return

    def _ask(self, engine: Engine, act: str) -> bool:
        script = "found=0; " + ASKED.format(mark=self._mark, act=act)
        with contextlib.suppress(EngineError):
            return engine.run_inside(self._container, [SHELL, "-c", script]) == FOUND
        return False

    def _own_session(self, session: int) -> bool:
        """Whether it is none that others have, too: not the container's, nor none at all."""
        first = read_process(self._first_pid)
        return session != 0 and first is not None and session != first.session

    def _inside(self, pid: int) -> bool:
        return pid != self._first_pid and _space(pid) == self._space

    def _marked(self, pid: int) -> bool:
        try:
            environment = (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            return False
        return self._mark.encode() in environment.split(b"\0")


def _space_of(container: str, first_pid: int) -> str:
    """Which processes are the container's; empty where that cannot be told: the engine is on
    another machine, or in a virtual one, or of another user."""
    if not first_pid:
        return ""
    try:
        ours = container in (PROC / str(first_pid) / "cgroup").read_text("utf-8", "replace")
    except OSError:
        return ""
    space = _space(first_pid) if ours else ""
    return "" if space == _space(os.getpid()) else space


def _space(pid: int) -> str:
    try:
        return os.readlink(PROC / str(pid) / "ns/pid")
    except OSError:
        return ""
