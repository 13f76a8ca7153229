"""A run's workspace gets into an instance and out again, whatever other runs put in its way."""

from pathlib import Path

import msgspec
import pytest

from runwatch_nodemanager.assignment import KEPT, Kept
from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.instances.entering import move_in
from runwatch_nodemanager.sweep import sweep
from runwatch_nodemanager.workspace import WorkspaceError

RUN = "run-0123456789ab"
INSTANCE = "agent-0123456789ab"


def prepared(folder: NodeFolder) -> Path:
    place = folder.workspaces / RUN
    place.mkdir(parents=True)
    (place / "cloned").touch()
    return place


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    folder = NodeFolder(tmp_path / "n1")
    folder.create()
    folder.instance_workspaces(INSTANCE).mkdir(parents=True)
    return folder


@pytest.mark.parametrize("before", ["nothing", "empty", "an earlier try", "a link"])
def test_a_workspace_takes_the_place_of_what_was_there(
    folder: NodeFolder, tmp_path: Path, before: str
) -> None:
    workspaces = folder.instance_workspaces(INSTANCE)
    (outside := tmp_path / "outside").mkdir()
    (outside / "kept").touch()
    target = workspaces / RUN
    if before == "a link":
        target.symlink_to(outside)
    elif before != "nothing":
        target.mkdir()
        if before != "empty":
            (target / "half").touch()
    assert move_in(prepared(folder), workspaces, RUN) == target
    assert not target.is_symlink()
    assert [path.name for path in target.iterdir()] == ["cloned"]
    assert [path.name for path in outside.iterdir()] == ["kept"]


def test_an_instance_that_is_not_here_takes_none(folder: NodeFolder) -> None:
    with pytest.raises(WorkspaceError, match="cannot be put into the instance"):
        move_in(prepared(folder), folder.instance_workspaces("agent-00000000dead"), RUN)


def test_the_sweeper_removes_them_with_the_runs_that_ended(
    folder: NodeFolder, tmp_path: Path
) -> None:
    workspaces = folder.instance_workspaces(INSTANCE)
    place = move_in(prepared(folder), workspaces, RUN)
    (linked := tmp_path / "linked").mkdir()
    (linked / "kept").touch()
    for run_id in (RUN, "run-0000000000aa"):
        (folder.ended / run_id).mkdir()
        kept = Kept(run_id=run_id, epoch=1, outcome="done", ended_at="2026-01-01T00:00:00Z")
        (folder.ended / run_id / KEPT).write_bytes(msgspec.json.encode(kept))
    (workspaces / "run-0000000000aa").symlink_to(linked)
    assert sweep(folder, 1_900_000_000_000_000, 60) == 2
    assert not place.exists()
    assert (linked / "kept").exists()
