"""Finds transcripts below the agents' directories, without ever leaving them.

A symbolic link is followed where it leads to a place within the same root, and nowhere else.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runwatch_nodemanager.sessions.cutting import is_below, open_file
from runwatch_nodemanager.sessions.roots import (
    Place,
    Root,
    is_older_subagent,
    may_hold,
    place_of,
    subagent_place,
)

BEGINNING_BYTES: Final = 16 * 1024
SESSION_ID: Final = re.compile(rb'"sessionId":\s*"([A-Za-z0-9-]{1,100})"')
MOST_FOLDERS: Final = 20_000
"""Of one root: beyond them it is no directory that an agent wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A transcript, or a part of one."""

    root: Root
    path: Path
    place: Place
    size: int
    modified_us: int


def look_at(root: Root, path: Path) -> FoundFile | None:
    """What a path is now; ``None`` where it is no transcript, or none any more.

    One that is no text cannot be kept, and no agent makes such.
    """
    if not _is_text(path):
        return None
    place = place_of(root, path)
    older = place is None and is_older_subagent(root, path)
    if (place is None and not older) or not within(root, path):
        return None
    try:
        seen = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(seen.st_mode):
        return None
    if place is None:
        place = _place_of_subagent(root, path)
    if place is None:
        return None
    return FoundFile(
        root=root,
        path=path,
        place=place,
        size=seen.st_size,
        modified_us=seen.st_mtime_ns // 1000,
    )


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _place_of_subagent(root: Root, path: Path) -> Place | None:
    """Older versions keep a sub-agent beside its session; only its entries tell which that is."""
    try:
        descriptor = open_file(path, root=root.path)
    except OSError:
        return None
    try:
        found = SESSION_ID.search(os.pread(descriptor, BEGINNING_BYTES, 0))
    finally:
        os.close(descriptor)
    if found is None:
        return None
    return subagent_place(found[1].decode(), path.stem)


def within(root: Root, path: Path) -> bool:
    """Whether a path, with every link in it followed, lies below its root."""
    try:
        return is_below(root.path, os.path.realpath(path))
    except OSError:
        return False


def folders_of(root: Root, start: Path | None = None) -> Iterator[Path]:
    """Every folder in which transcripts may lie, from the root or one below it on."""
    waiting = [start or root.path]
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < MOST_FOLDERS:
        folder = waiting.pop()
        try:
            identity = folder.stat()
            entries = list(os.scandir(folder))
        except OSError:
            continue
        key = (identity.st_dev, identity.st_ino)
        if key in seen:
            continue
        seen.add(key)
        yield folder
        for entry in entries:
            path = folder / entry.name
            if may_hold(root, path) and _is_folder(root, entry, path):
                waiting.append(path)


def files_in(root: Root, folder: Path) -> Iterator[FoundFile]:
    """The transcripts that lie in a folder itself."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        found = look_at(root, folder / name)
        if found is not None:
            yield found


def parts_of(found: FoundFile) -> list[FoundFile]:
    """All files of the session that a file belongs to."""
    root, place = found.root, found.place
    folders = {found.path.parent}
    if place.agent_type == "claude-code":
        nested = found.path.parent.name == "subagents"
        top = found.path.parents[2] if nested else found.path.parent
        folders = {top, top / place.session / "subagents"}
    elif place.lane:
        folders.add(found.path.parent.parent)
    own = [
        part
        for folder in folders
        for part in files_in(root, folder)
        if part.place.external_id == place.external_id
    ]
    return own or [found]


def _is_folder(root: Root, entry: "os.DirEntry[str]", path: Path) -> bool:
    try:
        if entry.is_dir(follow_symlinks=False):
            return True
        return entry.is_symlink() and entry.is_dir() and within(root, path)
    except OSError:
        return False
