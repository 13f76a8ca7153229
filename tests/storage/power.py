"""A SQLite VFS on files that forget what was not synced when the power is cut.

The worst case without torn writes: of a file only what its last sync covered survives, byte for
byte; a file that was never synced survives empty. Deleting is durable at once, as SQLite syncs the
directory for it.
"""

from pathlib import Path
from typing import Any

import apsw


class Disk:
    """What would be found on the disk after a cut: the synced content by file name."""

    def __init__(self) -> None:
        self.synced: dict[str, bytes] = {}
        self.syncs = 0
        self.cut_at: int | None = None
        """The number of the sync that the cut comes before; None: when `cut` is called."""
        self.survived: dict[str, bytes] | None = None

    def cut(self, folder: Path) -> None:
        """Write what survived into a folder."""
        survived = self.synced if self.survived is None else self.survived
        for name, content in survived.items():
            (folder / Path(name).name).write_bytes(content)


class ForgetfulFile(apsw.VFSFile):
    """A real file; each sync copies it to the `Disk`."""

    def __init__(self, disk: Disk, inherit: str, name: Any, flags: list[int]) -> None:
        super().__init__(inherit, name, flags)
        self._disk = disk
        path = name if isinstance(name, str) else name.filename()
        self._path = path
        disk.synced.setdefault(path, b"")

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.syncs == self._disk.cut_at and self._disk.survived is None:
            self._disk.survived = dict(self._disk.synced)
        super().xSync(flags)
        self._disk.syncs += 1
        self._disk.synced[self._path] = Path(self._path).read_bytes()


class ForgetfulDisk(apsw.VFS):
    """The default VFS with files that forget."""

    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, base="unix")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        if name is None:
            return apsw.VFSFile("unix", name, flags)
        return ForgetfulFile(self._disk, "unix", name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self._disk.synced.pop(filename, None)
