"""Rows between an archive and a store of any kind: how they are taken, compared and refused."""

from typing import Any, NoReturn

from runwatch_server.kept import KeptRow
from runwatch_server.rows import EventRow
from runwatch_server.storage.kinds import any_row_of
from runwatch_shared.errors import StoreError


def event_of(*values: Any) -> EventRow:
    """An event of the values of its record.

    Raises:
        TypeError, ValueError: They do not fit.
    """
    *known, raw = values
    text = None if raw is None else raw.decode("utf-8", "surrogatepass")
    return EventRow._make((*known, text))


def kept_of(kind: str, doc: str) -> KeptRow:
    """A kept row of the values of its record.

    Raises:
        ValueError: This build does not know its kind.
        TypeError, msgspec.MsgspecError: It does not fit.
    """
    row = any_row_of(kind, doc)
    if row is None:
        raise ValueError(f"this build knows no rows of kind {kind!r}")
    return row


def as_column(value: object) -> object:
    """As a column of PostgreSQL has it (see `postgres.connection`)."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def not_empty(what: str, *, access: bool) -> StoreError:
    """A store has something an archive would bring."""
    hint = "; leave them as they are with --without-access" if access else ""
    return StoreError(f"the store is not empty, it has {what}{hint}")


def misplaced() -> NoReturn:
    """
    Raises:
        ValueError: Always.
    """
    raise ValueError("it stands without what it is of")
