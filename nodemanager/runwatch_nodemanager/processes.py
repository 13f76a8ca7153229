"""The process table as `/proc` shows it: who lives, who descends from whom; sends no signals.

Standard library only, as the supervisor imports it. Linux.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
RUN_VARIABLE: Final = "RUNWATCH_RUN_DIR"
"""In the environment of every agent: how its processes are found when their supervisor is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of the process table; ``started_ticks`` since boot tells a reused pid apart."""

    pid: int
    parent_pid: int
    state: str
    started_ticks: int
    session: int = 0
    """Id of its session's leader, alive or not."""


def read_process(pid: int) -> Process | None:
    """The process with this id, ``None`` where there is none; a zombie is one, state ``Z``."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The command name in parentheses may hold spaces and parentheses itself.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        pid=pid,
        state=fields[0].decode("ascii"),
        parent_pid=int(fields[1]),
        session=int(fields[3]),
        started_ticks=int(fields[19]),
    )


def list_pids() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def descendants(ancestor_pid: int) -> list[int]:
    """Pids of all living processes below ``ancestor_pid``, nearest first, zombies left out."""
    children: dict[int, list[Process]] = defaultdict(list)
    for pid in list_pids():
        process = read_process(pid)
        if process is not None:
            children[process.parent_pid].append(process)
    found: list[int] = []
    level = [ancestor_pid]
    while level:
        below = [child for parent in level for child in children.get(parent, [])]
        found.extend(child.pid for child in below if child.state != "Z")
        level = [child.pid for child in below]
    return found


def marked_pids(run_folder: Path) -> list[int]:
    """Pids of living processes that carry ``RUN_VARIABLE`` with this folder, of any parent."""
    mark = f"{RUN_VARIABLE}={run_folder}".encode()
    found = []
    for pid in list_pids():
        try:
            environment = (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0") and pid != os.getpid():
            found.append(pid)
    return found
