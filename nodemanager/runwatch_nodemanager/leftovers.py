"""Processes of this node's runs that outlived them: told of, and killed after a grace.

They are left where a supervisor was killed and its run was over for this node before another node
manager came. A process is known by the run folder in its environment (`processes`); one in a
container is its container's (`orphans`).
"""

import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Final, NamedTuple

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.processes import PROC, RUN_VARIABLE, list_pids, read_process
from runwatch_shared.clock import Clock
from runwatch_shared.logs import log
from runwatch_shared.text import clean
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time
from runwatch_shared.wire import Orphan

logger: Final = logging.getLogger(__name__)

MOST_TOLD: Final = 100
SHOWN_CHARS: Final = 64


class Leftover(NamedTuple):
    """One process; ``started_ticks`` tells a reused pid apart."""

    pid: int
    started_ticks: int
    run_id: str


class Leftovers:
    """See the module. What belongs to a folder in ``runs`` is its supervisor's or is adopted."""

    def __init__(self, folder: NodeFolder, clock: Clock, *, grace_s: float) -> None:
        self._folder = folder
        self._clock = clock
        self._grace_us = grace_s * MICROSECONDS_PER_SECOND
        self._since_us: dict[Leftover, int] = {}

    def told(self) -> list[Orphan]:
        """What a heartbeat says of them, the oldest ones."""
        known = sorted(self._since_us.items(), key=lambda item: item[1])[:MOST_TOLD]
        return [
            Orphan(kind="process", ref=f"pid {one.pid} of {one.run_id}", since=format_time(since))
            for one, since in known
        ]

    def look(self) -> int:
        """Look for them, and kill those that were seen over the grace ago; how many. Blocks."""
        now_us = self._clock.now_us()
        found = [one for pid in list_pids() if (one := self._left(pid)) is not None]
        self._since_us = {one: self._since_us.get(one, now_us) for one in found}
        due = [one for one in found if now_us - self._since_us[one] >= self._grace_us]
        return sum(self._kill(one) for one in due)

    def _left(self, pid: int) -> Leftover | None:
        """The process, if it is of a run of this node that is over here."""
        path = self._marked(pid)
        process = None if path is None or path.exists() else read_process(pid)
        if path is None or process is None or process.state == "Z" or pid == os.getpid():
            return None
        name = clean(path.name, limit=SHOWN_CHARS, fold=True)
        return Leftover(pid, process.started_ticks, name)

    def _marked(self, pid: int) -> Path | None:
        """The folder of a run of this node that the process carries; none of a container's."""
        mark = f"{RUN_VARIABLE}={self._folder.runs}/".encode()
        try:
            names = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
            here = os.readlink(PROC / str(pid) / "ns" / "pid") == os.readlink(PROC / "self/ns/pid")
        except OSError:
            return None
        found = next((name for name in names if name.startswith(mark)), None)
        name = b"" if found is None else found.removeprefix(mark)
        if not here or not name or b"/" in name or name in {b".", b".."}:
            return None
        return self._folder.runs / os.fsdecode(name)

    def _kill(self, one: Leftover) -> bool:
        with contextlib.suppress(OSError):
            # What is open is this process, whoever has its number later.
            handle = os.pidfd_open(one.pid)
            try:
                if self._left(one.pid) != one:
                    return False
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
            self._since_us.pop(one, None)
            log(
                logger,
                logging.WARNING,
                "process.stop",
                "Killed a process without a run",
                run_id=one.run_id,
                pid=one.pid,
                reason="orphan",
            )
            return True
        return False
