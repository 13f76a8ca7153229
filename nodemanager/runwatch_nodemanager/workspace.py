"""Where a run works: an empty folder, a folder of this machine, a git clone or a named volume."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Self

from runwatch_nodemanager.git_clone import Address, GitError, clone
from runwatch_nodemanager.local_repository import folders_of
from runwatch_shared.errors import RunwatchError
from runwatch_shared.models import GitSource, LocalSource, RunId, VolumeSource, Workspace
from runwatch_shared.settings import NodeSettings

SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class WorkspaceError(RunwatchError):
    """A workspace that cannot be prepared; the message says why, without credentials of an URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A folder ready to work in. ``type`` is that of the request, ``none`` where none was asked.

    Args:
        path: The folder itself: what led there by a symbolic link was followed when it was judged.
    """

    path: Path
    type: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRules:
    """What runs may have.

    Args:
        roots: Folders of this machine they may work in or clone from, with all below them.
        forbidden: One they may not, though it lie below such a root.
        protocols: By which git may fetch.
        environment: Of git.
        guarded: The run can be kept from writing, as in a container.
    """

    roots: Sequence[Path] = ()
    forbidden: Path | None = None
    protocols: Sequence[str] = ("https", "ssh", "file")
    environment: Mapping[str, str]
    guarded: bool = False

    @classmethod
    def of(
        cls, settings: NodeSettings, *, environment: Mapping[str, str], guarded: bool = False
    ) -> Self:
        return cls(
            environment=environment,
            guarded=guarded,
            roots=[Path(root).expanduser() for root in settings.workspace_roots],
            forbidden=Path(settings.data_dir).expanduser() if settings.data_dir else None,
            protocols=settings.git_protocols,
        )

    def allowed(self, path: Path) -> Path:
        """The folder itself, all symbolic links followed.

        Raises:
            WorkspaceError: It is not there or not allowed.
        """
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise WorkspaceError(f"no such folder on this node: {path}") from error
        if not real.is_dir():
            raise WorkspaceError(f"no such folder on this node: {path}")
        below = any(real.is_relative_to(root.resolve()) for root in self.roots)
        if not below:
            raise WorkspaceError(
                f"{path} is in none of the folders this node allows (workspace_roots)"
            )
        if self.forbidden is not None and real.is_relative_to(self.forbidden.resolve()):
            raise WorkspaceError(f"{path} belongs to the node itself")
        return real


async def prepare_workspace(
    wanted: Workspace | None,
    *,
    folder: Path,
    volumes: Path,
    run_id: RunId,
    rules: WorkspaceRules,
) -> Prepared:
    """Make or find the folder.

    Args:
        folder: Workspaces of this node lie here, one a run.
        volumes: Named volumes lie here; they outlive runs.

    Raises:
        WorkspaceError: It cannot be had. What was begun stays until the sweeper takes it.
    """
    if not SAFE_NAME.fullmatch(run_id):
        raise WorkspaceError("the run's id is no safe folder name")
    own = _in(folder, run_id)
    try:
        match wanted:
            case None:
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
                return Prepared(path=own, type="none")
            case Workspace(type="local", local=LocalSource() as local):
                path = _local(local, rules)
                return Prepared(path=path, type="local", read_only=local.read_only or False)
            case Workspace(type="volume", volume=VolumeSource() as volume):
                return Prepared(path=_volume(volume, volumes), type="volume")
            case Workspace(type="git", git=GitSource() as git):
                own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # An earlier try may have been cut off.
                await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
                await _clone(git, own, rules)
                return Prepared(path=own, type="git")
            case _:
                raise WorkspaceError(f"a workspace of type {wanted.type} needs its description")
    except OSError as error:
        raise WorkspaceError(f"the folder cannot be made: {error.strerror}") from error


def _in(folder: Path, *parts: str) -> Path:
    """Below the folder itself, however a symbolic link leads to that."""
    return folder.resolve().joinpath(*parts)


def _local(source: LocalSource, rules: WorkspaceRules) -> Path:
    path = Path(source.path)
    if not path.is_absolute() or "\0" in source.path:
        raise WorkspaceError("a local workspace needs an absolute path")
    if source.read_only and not rules.guarded:
        raise WorkspaceError("a process of this machine cannot be kept from writing; not read_only")
    return rules.allowed(path)


def _volume(source: VolumeSource, volumes: Path) -> Path:
    if not SAFE_NAME.fullmatch(source.name):
        raise WorkspaceError("a volume's name has letters, digits, '.', '_' and '-' only")
    sub_path = PurePosixPath(source.sub_path or ".")
    if sub_path.is_absolute() or ".." in sub_path.parts or "\0" in str(sub_path):
        raise WorkspaceError("sub_path must lie inside the volume")
    volumes.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _descend(volumes, (source.name, *sub_path.parts))
    except OSError as error:
        raise WorkspaceError(
            f"sub_path leads out of the volume or to no folder: {error.strerror}"
        ) from error
    return _in(volumes, source.name, *sub_path.parts)


def _descend(root: Path, parts: Sequence[str]) -> None:
    """Make folder in folder; what an earlier run put there in their place is not followed.

    Raises:
        OSError: One of them is no folder, but a symbolic link, say.
    """
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=at)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
    finally:
        os.close(at)


def _own_machines(path: Path, rules: WorkspaceRules) -> Address:
    """What was judged is what git gets: it reads ``file://host/…``, ``?`` and ``#`` its own way.

    Raises:
        WorkspaceError: It is not allowed, or leads git to what is not.
    """
    real = rules.allowed(path)
    try:
        for folder in folders_of(real):
            rules.allowed(folder)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}") from error
    return Address(url=str(real), protocol="file", path=real)


async def _clone(source: GitSource, target: Path, rules: WorkspaceRules) -> None:
    try:
        address = Address.of(source.url)
        if address.path is not None:
            if not address.path.is_absolute():
                raise GitError("git: a repository of this machine needs an absolute path")
            address = _own_machines(address.path, rules)
        await clone(
            source,
            address,
            target,
            protocols=rules.protocols,
            environment=rules.environment,
        )
    except GitError as error:
        raise WorkspaceError(str(error)) from error
