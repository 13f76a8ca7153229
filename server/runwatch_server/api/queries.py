"""Reading a query string by the rules of contract 1.1, 1.3 and 1.4, and saying which parameters
there are.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from runwatch_server.ids import is_id
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits
from runwatch_shared.states import EVENT_TYPES, HEALTH_FLAGS, RUN_STATUSES, WORKFLOW_STATES
from runwatch_shared.text import clean
from runwatch_shared.timestamps import parse_time_or_age
from runwatch_shared.wire import WORKFLOW_SORTS

SHOWN_CHARS: Final = 64
WHOLE_NUMBER: Final = re.compile(r"-?[0-9]+")
MOST_DIGITS: Final = 18
SECONDS: Final = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?")
MOST_LABELS: Final = 16
PAGING: Final = frozenset({"limit", "cursor", "offset"})
LEVELS: Final = ("info", "success", "warning", "error")

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_TEXTS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string"}}


def _enum(values: Sequence[str]) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "enum": list(values)}}


PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "account_id": _TEXT,
    "active": _FLAG,
    "after_seq": _NUMBER,
    "agent_type": _TEXTS,
    "before_seq": _NUMBER,
    "cursor": _TEXT,
    "force": _FLAG,
    "from_seq": _NUMBER,
    "health": _enum(HEALTH_FLAGS),
    "include": _enum(("raw",)),
    "label": _TEXTS,
    "level": _enum(LEVELS),
    "limit": _NUMBER,
    "minutes": {"type": "integer", "minimum": 1, "maximum": 1440},
    "node": _TEXTS,
    "node_id": _TEXT,
    "offset": _NUMBER,
    "purge": _FLAG,
    "q": _TEXT,
    "search": _TEXT,
    "since": _TEXT,
    "sort": _TEXT,
    "state": _enum(WORKFLOW_STATES),
    "status": _TEXTS,
    "tail": _FLAG,
    "task": _TEXT,
    "type": _TEXTS,
    "until": _TEXT,
    "wait": {"type": "number", "minimum": 0, "maximum": 30},
    "waiting": _FLAG,
}
"""Every query parameter as a JSON schema. ``status`` and ``type`` differ by route."""

WORKFLOW_STATUSES: Final = (*RUN_STATUSES, "waiting", "success")
"""Raw statuses of runs and of actions (contract 5.6)."""
SORTS: Final = (*WORKFLOW_SORTS, *(f"-{name}" for name in WORKFLOW_SORTS))


class Page(msgspec.Struct, frozen=True):
    limit: int
    offset: int
    cursor: str | None


class QueryReader:
    """The parameters of one request, each read once and checked as it is read."""

    def __init__(
        self, query_string: bytes, *, names: tuple[str, ...], limits: Limits, now_us: int
    ) -> None:
        self._names = names
        self._limits = limits
        self._now_us = now_us
        self._given = _parsed(query_string)

    def has(self, name: str) -> bool:
        """Whether this route has such a parameter and it was given."""
        return name in self._names and name in self._given

    def text(self, name: str) -> str | None:
        """The last value given; None without one, or with an empty one."""
        values = self._values(name)
        return values[-1] if values and values[-1] else None

    def flag(self, name: str) -> bool | None:
        """``true`` or ``false``."""
        text = self.text(name)
        if text is None:
            return None
        known = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        if known is None:
            raise _wrong(name, f"{name} must be true or false", text)
        return known

    def number(self, name: str) -> int | None:
        """A whole number from 0."""
        text = self.text(name)
        if text is None:
            return None
        return whole_number(name, text)

    def number_within(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number of a range."""
        value = self.number(name)
        if value is None:
            return default
        if not low <= value <= high:
            raise _wrong(name, f"{name} must be {low} to {high}", str(value))
        return value

    def seconds(self, name: str, most: int) -> float:
        """A time to wait, cut to ``most``; 0 without one."""
        text = self.text(name)
        if text is None:
            return 0
        if SECONDS.fullmatch(text) is None:
            raise _wrong(name, f"{name} must be 0 to {most} seconds", text)
        if float(text) < 0:
            raise _wrong(name, f"{name} must not be negative", text)
        return min(float(text), most)

    def moment(self, name: str) -> int | None:
        """A time, or an age like ``15m``, in microseconds since the epoch."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse_time_or_age(text, self._now_us)
        except ValueError as error:
            message = f"{name} must be a time with an offset, or an age like 15m"
            raise _wrong(name, message, text) from error

    def several(self, name: str) -> tuple[str, ...] | None:
        """Values separated by commas or repeated; None without any."""
        values = [part for value in self._values(name) for part in value.split(",") if part]
        if len(values) > self._limits.filter_values:
            raise RefusedError(
                "invalid_parameter",
                f"{name} has too many values",
                field=name,
                details={"max": self._limits.filter_values},
            )
        return tuple(dict.fromkeys(values)) or None

    def enums(self, name: str, allowed: Sequence[str]) -> tuple[str, ...] | None:
        """Like `several`, each one of ``allowed``."""
        values = self.several(name)
        for value in values or ():
            if value not in allowed:
                raise RefusedError(
                    "invalid_value",
                    f"{name} has an unknown value",
                    field=name,
                    details={"allowed": list(allowed)},
                )
        return values

    def sought(self, name: str = "q", *aliases: str) -> str | None:
        """A text to look for, of bounded length."""
        text = next((found for each in (name, *aliases) if (found := self.text(each))), None)
        if text is not None and len(text) > self._limits.query_chars:
            raise RefusedError(
                "invalid_parameter",
                f"{name} is too long",
                field=name,
                details={"max": self._limits.query_chars},
            )
        return text

    def labels(self) -> Mapping[str, str | None] | None:
        """``label=key:value`` or ``label=key``, repeated; all must hold."""
        values = self._values("label")
        if len(values) > MOST_LABELS:
            raise RefusedError(
                "invalid_parameter",
                "too many labels",
                field="label",
                details={"max": MOST_LABELS},
            )
        found: dict[str, str | None] = {}
        for value in values:
            key, given, wanted = value.partition(":")
            if not key:
                raise _wrong("label", "label must be key:value or key", value)
            found[key] = wanted if given else None
        return found or None

    def raw(self) -> bool:
        """Whether ``include=raw`` asks for the agents' own lines."""
        return "raw" in (self.enums("include", ("raw",)) or ())

    def limit(self, default: int) -> int:
        """Rows of a page, clamped to 1 … 1000."""
        value = self.number("limit")
        return default if value is None else max(1, min(value, self._limits.page_rows))

    def page(self, default_limit: int) -> Page:
        """``limit`` with either ``cursor`` or ``offset``."""
        limit = self.limit(default_limit)
        cursor = self.text("cursor")
        offset = (self.number("offset") or 0) if "offset" in self._names else 0
        if cursor is not None and offset:
            raise RefusedError(
                "invalid_parameter", "cursor and offset exclude each other", field="offset"
            )
        if offset > self._limits.offset_rows:
            raise RefusedError(
                "invalid_parameter",
                "offset is too large; page with cursor instead",
                field="offset",
                details={"max": self._limits.offset_rows},
            )
        return Page(limit, offset, cursor)

    def filter(self) -> list[tuple[str, list[str]]]:
        """What was asked but where the page begins and how long it is: what a cursor belongs to."""
        return [
            (name, self._given[name])
            for name in sorted(self._names)
            if name in self._given and name not in PAGING
        ]

    def node_ids(self, name: str) -> tuple[str, ...] | None:
        """Like `several`, each an id."""
        values = self.several(name)
        for value in values or ():
            if not is_id(value):
                raise _wrong(name, f"{name} holds no id", value)
        return values

    def _values(self, name: str) -> list[str]:
        assert name in self._names, f"{name} is not a parameter of this route"
        return self._given.get(name, [])


def _parsed(query_string: bytes) -> dict[str, list[str]]:
    if not query_string:
        return {}
    try:
        return parse_qs(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise RefusedError("invalid_parameter", "the query is not valid") from error


def whole_number(name: str, text: str) -> int:
    """A parameter's whole number from 0.

    Raises:
        RefusedError: 400 ``invalid_parameter``, which says what is wrong with it.
    """
    if WHOLE_NUMBER.fullmatch(text) is None:
        raise _wrong(name, f"{name} must be a number", text)
    if text.startswith("-") and text.strip("-0"):
        raise _wrong(name, f"{name} must not be negative", text)
    if len(text) > MOST_DIGITS:
        raise _wrong(name, f"{name} is too large", text)
    return int(text)


def event_types(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Types of events to show; ``x_…`` ones beside the known."""
    for value in values or ():
        if value not in EVENT_TYPES and not value.startswith("x_"):
            raise RefusedError(
                "invalid_value",
                "type has an unknown value",
                field="type",
                details={"allowed": list(EVENT_TYPES)},
            )
    return values


def _wrong(name: str, message: str, value: str) -> RefusedError:
    shown = clean(value, limit=SHOWN_CHARS)
    return RefusedError("invalid_parameter", message, field=name, details={"value": shown})
