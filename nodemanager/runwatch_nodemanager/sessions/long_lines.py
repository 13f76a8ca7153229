"""Remembers how far a long line was searched for its end, so that a line that grows by and by costs
what it is long and not that squared; cutting itself is in `cutting`.
"""

import os
from pathlib import Path
from typing import NamedTuple

from runwatch_nodemanager.sessions.cutting import CHUNK_BYTES, next_line


class Searched(NamedTuple):
    """A line that begins at ``offset`` has no end before ``until``."""

    inode: int
    offset: int
    until: int


class LongLines:
    """Of a session's files; one entry a file."""

    def __init__(self) -> None:
        self._searched: dict[Path, Searched] = {}

    def may_have_end(self, path: Path, descriptor: int, offset: int) -> bool:
        """Whether a line that begins at ``offset`` may have its end now; it has if it is short."""
        now = os.fstat(descriptor)
        known = self._searched.pop(path, None)
        at = offset
        if known is not None and (known.inode, known.offset) == (now.st_ino, offset):
            at = known.until if known.until <= now.st_size else offset
        if now.st_size - offset <= CHUNK_BYTES or next_line(descriptor, at):
            return True
        self._searched[path] = Searched(now.st_ino, offset, now.st_size)
        return False
