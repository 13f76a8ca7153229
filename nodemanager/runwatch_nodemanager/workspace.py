"""Where a run works: an empty folder, a folder of this machine, a git clone or a named volume."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from runwatch_shared.errors import RunwatchError
from runwatch_shared.models import GitSource, LocalSource, RunId, VolumeSource, Workspace

CLONE_TIMEOUT_S: Final = 900.0
SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
COMMIT: Final = re.compile(r"[0-9a-fA-F]{7,64}")
GIT_ENVIRONMENT: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
}
"""No question may wait for an answer nobody gives, no transport may run a command."""
SHOWN_ERROR_CHARS: Final = 300


class WorkspaceError(RunwatchError):
    """A workspace that cannot be prepared; the message says why, without credentials of an URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A folder ready to work in. ``type`` is that of the request, ``none`` where none was asked."""

    path: Path
    type: str


async def prepare_workspace(
    wanted: Workspace | None, *, folder: Path, volumes: Path, run_id: RunId
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
    own = folder / run_id
    try:
        match wanted:
            case None:
                own.mkdir(mode=0o700, parents=True, exist_ok=True)
                return Prepared(path=own, type="none")
            case Workspace(type="local", local=LocalSource() as local):
                return Prepared(path=_local(local), type="local")
            case Workspace(type="volume", volume=VolumeSource() as volume):
                return Prepared(path=_volume(volume, volumes), type="volume")
            case Workspace(type="git", git=GitSource() as git):
                own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                await _clone(git, own)
                return Prepared(path=own, type="git")
            case _:
                raise WorkspaceError(f"a workspace of type {wanted.type} needs its description")
    except OSError as error:
        raise WorkspaceError(f"the folder cannot be made: {error.strerror}") from error


def _local(source: LocalSource) -> Path:
    path = Path(source.path)
    if not path.is_absolute():
        raise WorkspaceError("a local workspace needs an absolute path")
    if not path.is_dir():
        raise WorkspaceError(f"no such folder on this node: {path}")
    if source.read_only:
        raise WorkspaceError("a process of this machine cannot be kept from writing; not read_only")
    return path


def _volume(source: VolumeSource, volumes: Path) -> Path:
    if not SAFE_NAME.fullmatch(source.name):
        raise WorkspaceError("a volume's name has letters, digits, '.', '_' and '-' only")
    root = volumes / source.name
    sub_path = PurePosixPath(source.sub_path or ".")
    if sub_path.is_absolute() or ".." in sub_path.parts:
        raise WorkspaceError("sub_path must lie inside the volume")
    path = root / sub_path
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.resolve().is_relative_to(root.resolve()):
        raise WorkspaceError("sub_path leads out of the volume")
    return path


async def _clone(source: GitSource, target: Path) -> None:
    for name, value in (("url", source.url), ("branch", source.branch or "x")):
        if not value or value.startswith("-") or "\0" in value:
            raise WorkspaceError(f"git: this is no {name}")
    if source.commit is not None and not COMMIT.fullmatch(source.commit):
        raise WorkspaceError("git: a commit is 7 to 64 hexadecimal digits")
    clone = ["clone", "--quiet"]
    if source.branch is not None:
        clone += ["--branch", source.branch]
    if source.depth is not None and source.depth > 0:
        clone += ["--depth", str(source.depth)]
    environment = {**os.environ, **GIT_ENVIRONMENT}
    try:
        async with asyncio.timeout(CLONE_TIMEOUT_S):
            await _git([*clone, "--", source.url, str(target)], environment, source.url)
            if source.commit is None:
                return
            at = ["-C", str(target)]
            if source.depth is not None and source.depth > 0:
                depth = ["--depth", str(source.depth)]
                fetch = [*at, "fetch", "--quiet", *depth, "origin", source.commit]
                await _git(fetch, environment, source.url)
            checkout = [*at, "checkout", "--quiet", "--detach", source.commit]
            await _git(checkout, environment, source.url)
    except TimeoutError as error:
        raise WorkspaceError(f"git took more than {CLONE_TIMEOUT_S:.0f} s") from error


async def _git(arguments: list[str], environment: Mapping[str, str], url: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise WorkspaceError("git is not installed on this node") from error
    try:
        _, complaint = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        text = complaint.decode("utf-8", "replace").strip()
        lines = text.splitlines()
        last = lines[-1] if lines else f"exit code {process.returncode}"
        raise WorkspaceError(f"git: {_without_secrets(last, url)[:SHOWN_ERROR_CHARS]}")


def _without_secrets(text: str, url: str) -> str:
    """The text without the user and password an URL may carry."""
    try:
        user_info = urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return "failed"
    return text.replace(f"{user_info}@", "") if user_info else text
