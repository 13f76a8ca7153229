"""How a run's workspace gets into an instance: what runs there may have put links in its way."""

import shutil
from pathlib import Path

from runwatch_nodemanager.workspace import WorkspaceError


def move_in(prepared: Path, workspaces: Path, run_id: str) -> Path:
    """Move a workspace that was prepared where no container sees it to where the instance does.

    Nothing that is written on the way follows a link: a folder takes the place of nothing or of an
    empty folder, else it is refused. What an earlier try left is removed.

    Args:
        workspaces: The instance's folder of workspaces, in which its containers write.

    Raises:
        WorkspaceError: The instance has no such folder, or somebody was in the way.
    """
    target = workspaces / run_id
    try:
        if target.is_symlink():
            target.unlink()
        elif target.exists():
            shutil.rmtree(target)
        prepared.rename(target)
    except OSError as error:
        raise WorkspaceError(
            f"the workspace cannot be put into the instance: {error.strerror}"
        ) from error
    return target
