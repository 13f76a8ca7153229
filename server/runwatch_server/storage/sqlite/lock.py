"""The lock file that keeps a second server from a database; released by the kernel, whatever ends
the process.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from runwatch_shared.errors import StoreLockedError, StoreUnavailableError


class StoreLock:
    """An exclusive ``flock`` on a file beside the database."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Takes the lock at once or not at all.

        Raises:
            StoreLockedError: Another server holds it; the message names its process.
            StoreUnavailableError: The file cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailableError(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StoreLockedError(
                f"another server (process {holder or 'unknown'}) holds {path}"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Lets go; the file stays, as removing it would race with the next server."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
