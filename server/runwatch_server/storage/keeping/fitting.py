"""Records of an archive as every store takes them, and what is said where they cannot be taken."""

from typing import Any, NoReturn

from runwatch_server.rows import EventRow
from runwatch_shared.errors import StoreError


def event_of(*values: Any) -> EventRow:
    """An event of the values of its record.

    Raises:
        TypeError, ValueError: They do not fit.
    """
    *known, raw = values
    text = None if raw is None else raw.decode("utf-8", "surrogatepass")
    return EventRow._make((*known, text))


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
