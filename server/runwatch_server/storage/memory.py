"""A store that leaves nothing behind, for fast tests: the SQLite store in a directory that goes
with it, its writes not waited for.
"""

import tempfile
from pathlib import Path
from typing import Final, Self

from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.protocols import Rules
from runwatch_server.storage.sqlite.store import SqliteStore

_RAM: Final = Path("/dev/shm")


class MemoryStore(SqliteStore):
    """A real store, snapshots for readers and all; gone when it is closed.

    SQLite's own in-memory databases let no one read while one writes, so what passes there would
    say little about the file.
    """

    _folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def make(
        cls, rules: Rules, observer: QueryObserver | None = None, *, search: bool = False
    ) -> Self:
        parent = str(_RAM) if _RAM.is_dir() else None
        folder = tempfile.TemporaryDirectory(
            prefix="runwatch-", dir=parent, ignore_cleanup_errors=True
        )
        store = cls.open(
            Path(folder.name) / "runwatch.db",
            rules,
            synchronous="off",
            search=search,
            observer=observer,
        )
        store._folder = folder
        return store

    def close(self) -> None:
        super().close()
        self._folder.cleanup()
