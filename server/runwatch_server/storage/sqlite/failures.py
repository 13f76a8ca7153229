"""The driver's errors as the store's, in one place; nothing else names them."""

import errno
from typing import Final

import apsw

from runwatch_server.storage.translated import Translating
from runwatch_shared.errors import (
    ConflictError,
    StorageFullError,
    StoreError,
    StoreUnavailableError,
)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def translate(error: BaseException, connection: apsw.Connection | None) -> StoreError:
    """The store's error for a driver's error."""
    if isinstance(error, apsw.FullError):
        return StorageFullError("the disk or the database is full")
    if isinstance(error, apsw.ConstraintError):
        return ConflictError("a row contradicts one that is stored")
    if isinstance(error, apsw.IOError) and _errno_of(connection) in _FULL:
        return StorageFullError("the disk is full")
    return StoreUnavailableError(f"the database failed: {type(error).__name__}")


def _errno_of(connection: apsw.Connection | None) -> int:
    """What the operating system said last; 0 when nobody can say."""
    if connection is None:
        return 0
    try:
        return connection.system_errno
    except apsw.ConnectionClosedError:
        return 0


class Translated(Translating):
    """``with Translated(connection):`` raises the store's errors for the driver's."""

    __slots__ = ("_connection",)

    failures = (apsw.Error,)

    def __init__(self, connection: apsw.Connection | None = None) -> None:
        self._connection = connection

    def translate(self, error: BaseException) -> StoreError:
        return translate(error, self._connection)
