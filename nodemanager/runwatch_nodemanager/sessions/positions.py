"""How far each session was told, kept on the node's disk so that a restart doubles nothing.

A batch is noted before it is sent, with what is known after it: whether the server has it is told
by the number the server asks for next.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.run_folder import write_atomically
from runwatch_nodemanager.sessions.cutting import Mark
from runwatch_nodemanager.sessions.formats.protocol import Tally, Turn
from runwatch_nodemanager.sessions.head import Head
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND

SUFFIX: Final = ".json"
KEPT_GONE_US: Final = 30 * 86_400 * MICROSECONDS_PER_SECOND
"""After so long without anything new, a session without its transcripts is forgotten."""


class Source(msgspec.Struct, kw_only=True):
    """One file of a session, as far as it was read."""

    lane: str = ""
    mark: Mark = Mark()
    skip_us: int = 0
    """Entries that are not newer were told before: the file was written anew."""
    reader: Any = None
    """What its reader saved."""


class Told(msgspec.Struct, kw_only=True):
    """What the server has, once it has everything before ``next_seq``."""

    next_seq: int = 1
    opened: bool = False
    """Whether the run's first events were made."""
    ended: bool = False
    waiting: bool = False
    """Whether an open wait for the next prompt was told."""
    moment_us: int = 0
    """Of the newest event."""
    turn: Turn = "done"
    error: str | None = None
    skipped_bytes: int = 0
    """Older contents that were not read at first sight."""
    inherited: dict[str, int] = {}
    """Of a fork: how much of a file's beginning is another session's; by path."""
    sources: dict[str, Source] = {}
    """By path."""

    def tally(self) -> Tally:
        """Of all files together."""
        total = Tally()
        for source in self.sources.values():
            told = msgspec.convert((source.reader or {}).get("tally", {}), Tally)
            for name in Tally.__struct_fields__:
                setattr(total, name, getattr(total, name) + getattr(told, name))
        return total


def copied(told: Told) -> Told:
    """The same to go on from, while the other stays as it is."""
    return msgspec.json.decode(msgspec.json.encode(told), type=Told)


class Underway(msgspec.Struct, kw_only=True):
    """A batch that is being sent: up to which number, and what will be known then."""

    last_seq: int
    after: Told


class Position(msgspec.Struct, kw_only=True):
    """A session as the node keeps it."""

    agent_type: str
    external_id: str
    head: Head
    parent: str = ""
    """Of a fork: the transcript it repeats."""
    store: str = ""
    """Whose run it is: the server's database (contract 1.6)."""
    run_id: str = ""
    """Empty before the first run."""
    epoch: int = 0
    hidden: str = ""
    """Why it is not shown, now and later: a run of this node's own, or deleted by a person."""
    told: Told = msgspec.field(default_factory=Told)
    underway: Underway | None = None

    @property
    def active(self) -> bool:
        """Whether it has a run that has not ended, as far as is known here."""
        return bool(self.run_id) and not self.told.ended and not self.hidden


class Positions:
    """The positions of a node's sessions, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, external_id: str) -> Position | None:
        """What is kept of a session; ``None`` where there is nothing that can be read."""
        try:
            content = self._path(external_id).read_bytes()
            position = msgspec.json.decode(content, type=Position)
        except (OSError, msgspec.MsgspecError):
            return None
        return position if position.external_id == external_id else None

    def save(self, position: Position) -> None:
        """
        Raises:
            OSError: The disk does not take it.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._path(position.external_id), msgspec.json.encode(position))

    def active(self, *, now_us: int) -> list[Position]:
        """Those whose run has not ended; what is long over and gone from its place is forgotten."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            return []
        found = []
        for name in names:
            if name.endswith(SUFFIX):
                try:
                    content = (self._folder / name).read_bytes()
                    position = msgspec.json.decode(content, type=Position)
                except (OSError, msgspec.MsgspecError):
                    continue
                if position.active:
                    found.append(position)
                elif position.told.moment_us < now_us - KEPT_GONE_US and _is_gone(position):
                    with contextlib.suppress(OSError):
                        (self._folder / name).unlink()
        return found

    def _path(self, external_id: str) -> Path:
        digest = hashlib.sha256(external_id.encode()).hexdigest()[:32]
        return self._folder / f"{digest}{SUFFIX}"


def _is_gone(position: Position) -> bool:
    """Whether none of its transcripts is there, while what holds their folders is: a disk that is
    not mounted took none away.
    """
    paths = [Path(path) for path in position.told.sources]
    return bool(paths) and all(
        not path.exists() and path.parents[1].is_dir() for path in paths if len(path.parts) > 2
    )
