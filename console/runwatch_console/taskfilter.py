"""The filter of the Tasks screen, which the server applies: `s:failed label:team=web since:6h
words`; pure.
"""

from collections.abc import Mapping
from typing import Final

from runwatch_console.filters import FilterError
from runwatch_console.taskrows import TASK_STATUSES

MOST_WORDS: Final = 128
"""Characters of `q` (contract 1.3)."""
_NAMES: Final[Mapping[str, str]] = {
    "s": "status",
    "status": "status",
    "label": "label",
    "since": "since",
    "until": "until",
}
FIELDS: Final = ("s", "label", "since", "until")


def parse_task_filter(text: str, *, typing: bool = False) -> dict[str, list[str]]:
    """The parameters of GET /tasks (contract 8.1). `typing`: a last term without a value yet does
    not count.

    Raises:
        FilterError: A term has a field that tasks do not have, or a status there is none of.
    """
    query: dict[str, list[str]] = {}
    words = []
    for term in text.split():
        name, colon, value = term.partition(":")
        if not colon:
            words.append(term)
            continue
        if name not in _NAMES:
            raise FilterError(term, "filter.task_field")
        if not value:
            if typing and text.endswith(term):
                continue
            raise FilterError(term, "filter.task_field")
        if _NAMES[name] == "status":
            _check(term, value, typing=typing and text.endswith(term))
        query.setdefault(_NAMES[name], []).append(_label(value) if name == "label" else value)
    if words:
        query["q"] = [" ".join(words)[:MOST_WORDS]]
    return query


def _check(term: str, value: str, *, typing: bool) -> None:
    for part in value.split(","):
        begun = typing and any(status.startswith(part) for status in TASK_STATUSES)
        if part not in TASK_STATUSES and not begun:
            raise FilterError(term, "filter.task_status", known=" ".join(TASK_STATUSES))


def _label(value: str) -> str:
    """`team=web` as the server writes it: `team:web` (contract 1.4)."""
    key, equals, wanted = value.partition("=")
    return f"{key}:{wanted}" if equals else key


def complete_task_filter(text: str) -> list[str]:
    """Whole lines that may come of what was typed; the last term is completed."""
    before, space, term = text.rpartition(" ")
    name, colon, value = term.partition(":")
    if not colon:
        found = [f"{field}:" for field in FIELDS if field.startswith(name)]
    elif _NAMES.get(name) == "status":
        head, comma, last = value.rpartition(",")
        found = [f"{name}:{head}{comma}{s}" for s in TASK_STATUSES if s.startswith(last)]
    else:
        found = []
    return [f"{before}{space}{line}" for line in found]
