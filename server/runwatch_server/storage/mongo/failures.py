"""The driver's errors as the store's, in one place; nothing else names them."""

from types import TracebackType
from typing import Final

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from runwatch_server.storage.translated import Translating
from runwatch_server.storage.urls import UNREADABLE_MONGO
from runwatch_shared.errors import (
    ConflictError,
    SettingsError,
    StorageFullError,
    StoreError,
    StoreUnavailableError,
)

FAILURES: Final = (PyMongoError, OSError)
DUPLICATE: Final = 11000
_FULL: Final = frozenset({14031, 28})
"""OutOfDiskSpace, and the system's own number for it (MongoDB, error codes)."""


def is_only_duplicates(error: BulkWriteError) -> bool:
    """Whether all that failed was there already."""
    details = error.details or {}
    errors = details.get("writeErrors") or []
    if not errors or details.get("writeConcernErrors"):
        return False
    return all(each.get("code") == DUPLICATE for each in errors)


def translate(error: BaseException) -> StoreError:
    """The store's error for a driver's error."""
    if isinstance(error, DuplicateKeyError):
        return ConflictError("a row contradicts one that is stored")
    if isinstance(error, OperationFailure) and error.code in _FULL:
        return StorageFullError("the database's disk is full")
    return StoreUnavailableError(f"the database failed: {type(error).__name__}")


class Translated(Translating):
    """``with Translated():`` raises the store's errors for the driver's."""

    __slots__ = ()

    failures = FAILURES

    def translate(self, error: BaseException) -> StoreError:
        return translate(error)


class Opening(Translated):
    """The same where a database is opened, in words for its operator. No part of the URL is among
    them: each may be the password.
    """

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, InvalidURI | ConfigurationError):
            raise SettingsError(UNREADABLE_MONGO) from None
        if isinstance(error, ServerSelectionTimeoutError):
            raise StoreUnavailableError(
                "the database cannot be opened: no server of the URL that takes writes answers in "
                "time"
            ) from error
        if isinstance(error, OperationFailure):
            raise StoreUnavailableError(
                f"the database cannot be opened: the server refuses (error {error.code})"
            ) from error
        if isinstance(error, FAILURES):
            raise StoreUnavailableError(
                f"the database cannot be opened: {type(error).__name__}"
            ) from error
