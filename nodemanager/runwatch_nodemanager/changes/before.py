"""A workspace as it was when its run began: which files, and what stood in them."""

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from runwatch_nodemanager.changes.tree import Tree, look, read_inside
from runwatch_nodemanager.run_folder import write_atomically

MAX_FILE_BYTES: Final = 256 * 1024
"""Of a larger file no content is kept or compared."""
MAX_COPIED_BYTES: Final = 8 * 1024 * 1024
GIT_S: Final = 60.0
QUIET_GIT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
"""Git that knows no settings but those of the folder it is pointed to."""


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """How it was. Of a clone the content is in a repository of ours, else in copies."""

    root: str
    tree: Tree
    commit: str | None = None
    copies: dict[str, int] = {}


def remember(place: Path, workspace: Path, *, cloned: bool) -> None:
    """Keep in ``place`` how the workspace is now. Blocks; to be called before its run begins.

    Args:
        cloned: It was cloned just now, so that its own repository can be trusted still.

    Raises:
        OSError: It cannot be kept.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    tree = look(workspace)
    commit = _own_repository(place, workspace) if cloned else None
    copies = {} if cloned else _copy(place, workspace, tree)
    before = Before(root=str(workspace), tree=tree, commit=commit, copies=copies)
    write_atomically(place / "before.json", msgspec.json.encode(before))


def recall(place: Path) -> Before | None:
    """What was remembered, ``None`` where nothing was."""
    try:
        return msgspec.json.decode((place / "before.json").read_bytes(), type=Before)
    except (OSError, msgspec.MsgspecError):
        return None


def forget(place: Path) -> None:
    """Remove what stood in the files: when it is told what changed, nobody needs it. Blocks."""
    for name in ("copies", "git"):
        shutil.rmtree(place / name, ignore_errors=True)


def contents(place: Path, before: Before, paths: list[str]) -> dict[str, bytes]:
    """What stood in those of the files whose content is known. Blocks."""
    if before.commit is not None:
        return _from_repository(place, before.commit, paths)
    found: dict[str, bytes] = {}
    for path in paths:
        if (number := before.copies.get(path)) is not None:
            with contextlib.suppress(OSError):
                found[path] = (place / "copies" / str(number)).read_bytes()
    return found


def _own_repository(place: Path, workspace: Path) -> str | None:
    """A repository of ours with the clone's objects: that of the workspace the agent can change."""
    try:
        _git("clone", "--quiet", "--bare", "--local", "--template=", workspace, place / "git")
        return _git("--git-dir", place / "git", "rev-parse", "HEAD").decode().strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _from_repository(place: Path, commit: str, paths: list[str]) -> dict[str, bytes]:
    asked = [path for path in paths if "\n" not in path and "\\" not in path]
    order = "".join(f"{commit}:{path}\n" for path in asked).encode()
    try:
        told = _git("--git-dir", place / "git", "cat-file", "--batch", given=order)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, bytes] = {}
    at = 0
    for path in asked:
        line_end = told.find(b"\n", at)
        if line_end < 0:
            break
        kind = told[at:line_end].rsplit(b" ", 2)
        at = line_end + 1
        if len(kind) != 3 or not kind[2].isdigit() or kind[0].endswith(b" missing"):
            continue
        size = int(kind[2])
        if kind[1] == b"blob" and size <= MAX_FILE_BYTES:
            found[path] = told[at : at + size]
        at += size + 1
    return found


def _copy(place: Path, workspace: Path, tree: Tree) -> dict[str, int]:
    (place / "copies").mkdir(mode=0o700)
    copies: dict[str, int] = {}
    left = MAX_COPIED_BYTES
    for path, seen in tree.files.items():
        if seen.size > min(left, MAX_FILE_BYTES):
            continue
        content = read_inside(workspace, path, MAX_FILE_BYTES)
        if content is None or b"\0" in content:
            continue
        copies[path] = len(copies)
        (place / "copies" / str(copies[path])).write_bytes(content)
        left -= len(content)
    return copies


def _git(*arguments: str | Path, given: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *map(str, arguments)],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=QUIET_GIT,
        timeout=GIT_S,
        check=True,
    )
    return done.stdout
