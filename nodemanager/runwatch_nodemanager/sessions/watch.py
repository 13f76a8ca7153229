"""Tells which transcripts changed: by inotify, so that nothing is done while nothing happens.

Where the kernel has no inotify, or no more watches to give, everything is looked at again from time
to time instead.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from asyncinotify import Inotify, Mask, Watch

from runwatch_nodemanager.sessions.discovery import (
    FoundFile,
    files_in,
    folders_of,
    look_at,
    within,
)
from runwatch_nodemanager.sessions.roots import Root, may_hold
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 60.0
"""After so long a directory that was not there, or could not be watched, is looked for again."""
POLL_S: Final = 2.0
"""Between two looks at everything where changes are not told."""
GONE: Final = Mask.DELETE_SELF | Mask.IGNORED
MOST_HEARD: Final = 10_000
"""Changes not yet looked at, beyond which everything is looked at."""
Heard = tuple[Path, Path | None]
"""A watched folder, and the name in it that changed."""
CHANGES: Final = (
    Mask.MODIFY
    | Mask.CLOSE_WRITE
    | Mask.CREATE
    | Mask.MOVED_TO
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
    | Mask.ONLYDIR
)


class Watcher:
    """Watches the directories of some roots, and those that come to be in them."""

    def __init__(self, roots: Iterable[Root]) -> None:
        self._roots = tuple(roots)
        self._inotify: Inotify | None = None
        self._watched: dict[Path, Watch] = {}
        self._root_of: dict[Path, Root] = {}
        self._full = False
        self._heard: dict[Heard, Mask] = {}
        self._missed = False
        self._look_again_at = 0.0
        self._news = asyncio.Event()
        self._seen: dict[Path, tuple[int, int]] = {}
        """Size and time of each file, where changes are not told."""

    def __enter__(self) -> Self:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._inotify = Inotify()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._inotify is not None:
            self._inotify.close()

    @property
    def told(self) -> bool:
        """Whether the kernel tells of every change."""
        return self._inotify is not None and not self._full

    def look_everywhere(self) -> list[FoundFile]:
        """Every transcript there is; what is new from now on is told by `changes`. Blocks."""
        found = self._look()
        self._seen = {one.path: (one.size, one.modified_us) for one in found}
        return found

    def _look(self) -> list[FoundFile]:
        found: dict[Path, FoundFile] = {}
        for root in self._roots:
            for folder in folders_of(root):
                self._watch(root, folder)
                found |= {one.path: one for one in files_in(root, folder)}
        return list(found.values())

    async def listen(self) -> None:
        """Take in what the kernel tells, for `changes`; runs beside it until it is cancelled."""
        while self._inotify is not None:
            event = await self._inotify.get()
            watch = event.watch
            folder = None if watch is None else watch.path
            if folder and event.mask & Mask.IGNORED and self._watched.get(folder) is not watch:
                continue  # the end of a watch that was given up
            if event.mask & Mask.Q_OVERFLOW or len(self._heard) >= MOST_HEARD:
                self.miss()
            elif folder is not None:
                key = (folder, event.name)
                self._heard[key] = self._heard.get(key, Mask(0)) | event.mask
            self._news.set()

    def miss(self) -> None:
        """Changes were lost: everything is looked at the next time."""
        self._missed = True
        self._news.set()

    async def changes(self) -> list[FoundFile]:
        """Wait for changes; the files that may have changed, each once."""
        if not self.told:
            await asyncio.sleep(POLL_S)
            return self._differing(await asyncio.to_thread(self._look))
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_again_at):
                await self._news.wait()
        if loop.time() >= self._look_again_at:
            self._look_again_at = loop.time() + LOOK_AGAIN_S
            new = await asyncio.to_thread(self._new_roots)
            if new:
                return new
        self._news.clear()
        heard, self._heard = self._heard, {}
        missed, self._missed = self._missed, False
        if missed:
            log(logger, logging.INFO, "session", "Changes were missed, looking everywhere")
            return await asyncio.to_thread(self._look)
        return await asyncio.to_thread(self._of_heard, heard)

    def _of_heard(self, heard: dict[Heard, Mask]) -> list[FoundFile]:
        if any(mask & Mask.MOVE_SELF for mask in heard.values()):
            # What lies below keeps its watches, under names that are no more.
            for folder in list(self._watched):
                self._forget(folder)
            return self._look()
        for (folder, _), mask in heard.items():
            if mask & GONE:
                self._forget(folder)
        found: dict[Path, FoundFile] = {}
        for (folder, name), mask in heard.items():
            if name is not None and not mask & GONE:
                found |= {one.path: one for one in self._of_one(folder, name, mask)}
        return list(found.values())

    def _of_one(self, folder: Path, name: Path, mask: Mask) -> Iterator[FoundFile]:
        root = self._root_of.get(folder)
        if root is None:
            return
        path = folder / name
        if mask & Mask.ISDIR:
            if may_hold(root, path):
                yield from self._new_folder(root, path)
            return
        one = look_at(root, path)
        if one is not None:
            yield one

    def _new_folder(self, root: Root, folder: Path) -> Iterator[FoundFile]:
        """A folder that came to be, with what was written in it before it was watched."""
        if within(root, folder):
            for inner in folders_of(root, folder):
                self._watch(root, inner)
                yield from files_in(root, inner)

    def _new_roots(self) -> list[FoundFile]:
        """Files of roots that were not there before."""
        found: list[FoundFile] = []
        for root in self._roots:
            if root.path not in self._watched and root.path.is_dir():
                for folder in folders_of(root):
                    self._watch(root, folder)
                    found += files_in(root, folder)
        return found

    def _watch(self, root: Root, folder: Path) -> None:
        if self._inotify is None or folder in self._watched:
            return
        try:
            self._watched[folder] = self._inotify.add_watch(folder, CHANGES)
            self._root_of[folder] = root
        except OSError as error:
            if folder.is_dir() and not self._full:
                self._full = True
                log(
                    logger,
                    logging.WARNING,
                    "session",
                    "Could not watch a directory, looking at all of them instead",
                    path=str(folder),
                    error=str(error),
                )

    def _forget(self, folder: Path) -> None:
        watch = self._watched.pop(folder, None)
        self._root_of.pop(folder, None)
        if watch is not None and self._inotify is not None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                self._inotify.rm_watch(watch)

    def _differing(self, found: list[FoundFile]) -> list[FoundFile]:
        now = {one.path: (one.size, one.modified_us) for one in found}
        changed = [one for one in found if self._seen.get(one.path) != now[one.path]]
        self._seen = now
        return changed
