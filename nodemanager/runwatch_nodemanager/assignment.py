"""What this node was given to do, kept in the run's folder without its secrets."""

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from runwatch_nodemanager.run_folder import RunFolder, write_atomically
from runwatch_shared.models import Snapshot

Phase = Literal["claiming", "claimed"]
KEPT: Final = "kept.json"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A run on this node.

    ``claiming`` is written before the claim is asked for, so that a node killed in between knows
    that nothing was started.
    """

    run_id: str
    phase: Phase
    epoch: int = 0
    first_seq: int = 1
    """Number of the first event this node makes: an earlier attempt elsewhere used those below."""
    retry_on_lost: bool = False
    node_id: str = ""
    snapshot: Snapshot | None = None
    workspace: str = ""
    workspace_type: str = "none"
    agent_version: str | None = None
    argv: list[str] = []
    container: str | None = None
    """Its id, where the agent was started in one."""
    image: str | None = None
    unprotected: list[str] = []
    """Variables of the run whose values are too short to be found in its output."""
    memory: dict[str, Any] | None = None
    """What the reader of the agent's output begins with (`Launch.memory`)."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a run that is over for this node, and why."""

    run_id: str
    epoch: int
    outcome: str
    ended_at: str


def load_assignment(folder: RunFolder) -> Assignment | None:
    """The folder's assignment, ``None`` where there is none that can be read."""
    try:
        return msgspec.json.decode(folder.assignment.read_bytes(), type=Assignment)
    except (OSError, msgspec.MsgspecError):
        return None


def save_assignment(folder: RunFolder, assignment: Assignment) -> None:
    """Write it so that it survives a power cut; ``env`` values are left out."""
    snapshot = assignment.snapshot
    if snapshot is not None and snapshot.env is not None:
        masked = msgspec.structs.replace(snapshot, env=dict.fromkeys(snapshot.env, "***"))
        assignment = msgspec.structs.replace(assignment, snapshot=masked)
    write_atomically(folder.assignment, msgspec.json.encode(assignment))


def save_kept(path: Path, kept: Kept) -> None:
    write_atomically(path / KEPT, msgspec.json.encode(kept))
