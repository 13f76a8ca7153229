"""Which sessions are those of runs that this node itself executes: they are shown already."""

from pathlib import Path
from typing import Final

from runwatch_nodemanager.assignment import load_assignment
from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.run_folder import RunFolder
from runwatch_nodemanager.sessions.positions import Position
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

EARLY_US: Final = 5 * MICROSECONDS_PER_SECOND
"""A clock may stray by so much."""


def is_own(folder: NodeFolder, position: Position) -> bool:
    """Whether a session is one of this node's runs.

    It is if it works in a workspace this node made; or, where a person may work in the same
    directory too, if a program began it after a run of that agent there.
    """
    head = position.head
    if not head.cwd:
        return False
    cwd = Path(head.cwd)
    if cwd.is_relative_to(folder.workspaces) or cwd.is_relative_to(folder.volumes):
        return True
    if head.entrypoint and head.interactive:
        return False
    return any(
        _began_here(path, position, cwd)
        for kept_in in (folder.runs, folder.ended)
        if kept_in.is_dir()
        for path in kept_in.iterdir()
    )


def _began_here(path: Path, position: Position, cwd: Path) -> bool:
    folder = RunFolder(path)
    assignment = load_assignment(folder)
    if assignment is None:
        return False
    snapshot = assignment.snapshot
    if snapshot is None or not assignment.workspace:
        return False
    try:
        began_us = folder.supervisor.stat().st_mtime_ns // 1000
    except OSError:
        return False
    return (
        snapshot.agent.type in {position.agent_type, "general"}
        and cwd.is_relative_to(assignment.workspace)
        and position.head.started_us >= began_us - EARLY_US
    )
