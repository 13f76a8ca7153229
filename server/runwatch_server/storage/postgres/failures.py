"""The driver's errors as the store's, in one place; nothing else names them."""

from types import TracebackType
from typing import Final

import asyncpg

from runwatch_server.storage.translated import Translating
from runwatch_server.storage.urls import parts_of
from runwatch_shared.errors import (
    ConflictError,
    StorageFullError,
    StoreError,
    StoreUnavailableError,
)

FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What a statement may raise when it is the database that failed; `OSError` is the connection, and
the driver's internal error is one that was cut just when a statement was sent.
"""

UNFIT: Final = (asyncpg.DataError, asyncpg.exceptions._base.DataError)
"""A value the database has no room for or cannot read, found by it or by the driver: the fault of
who asked, and of nobody else in the group.
"""

_FULL: Final = frozenset({"53100", "53200"})
_CONTRADICTION: Final = "23"
"""The class of integrity violations (PostgreSQL, Appendix A)."""


def is_contradiction(error: BaseException) -> bool:
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith(
        _CONTRADICTION
    )


def translate(error: BaseException) -> StoreError:
    """The store's error for a driver's error."""
    if is_contradiction(error):
        return ConflictError("a row contradicts one that is stored")
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate in _FULL:
        return StorageFullError("the database's disk or memory is full")
    return StoreUnavailableError(f"the database failed: {type(error).__name__}")


class Translated(Translating):
    """``with Translated():`` raises the store's errors for the driver's."""

    __slots__ = ()

    failures = FAILURES

    def translate(self, error: BaseException) -> StoreError:
        return translate(error)


class Opening(Translated):
    """The same where a database is opened or brought to a schema, in words for its operator: what
    the server or the system said. The URL is not among them, only its host.
    """

    __slots__ = ("_host",)

    def __init__(self, url: str) -> None:
        self._host = parts_of(url).hostname or "its socket"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, FAILURES):
            raise StoreUnavailableError(
                f"the database at {self._host} cannot be opened: {_words(error)}"
            ) from error


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    told = isinstance(error, asyncpg.PostgresError | OSError) and str(error)
    return told or type(error).__name__
