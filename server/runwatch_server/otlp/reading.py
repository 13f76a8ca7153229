"""Reading a record's attributes tolerantly: agents send numbers and truth values as texts, too."""

import re
from typing import Any, Final

import msgspec

from runwatch_server.accounting import MOST_COUNT
from runwatch_server.otlp.records import Attributes, Value
from runwatch_shared.text import clean

CONTENT_CHARS: Final = 16_000
"""Of a prompt, an answer, a tool's input or output that is kept."""
SHORT_CHARS: Final = 200
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_TRUTH: Final = {"true": True, "false": False}


class Reading:
    """One record's attributes.

    Args:
        keep: Whether what people and agents wrote is kept: prompts, answers, inputs, outputs.
    """

    def __init__(self, attributes: Attributes, *, keep: bool) -> None:
        self._attributes = attributes
        self.keep = keep

    def text(self, name: str) -> str | None:
        """A short text, clean; None for none, an empty one and anything else."""
        value = self._attributes.get(name)
        if not isinstance(value, str) or not value:
            return None
        return clean(value, limit=SHORT_CHARS, fold=True, marks=False) or None

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self._attributes.get(name)
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            return int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def count(self, name: str) -> int:
        """A number of something: 0 where none was told, or one that nothing can have."""
        told = self.whole(name) or 0
        return told if 0 <= told <= MOST_COUNT else 0

    def number(self, name: str) -> float | None:
        """A number that is not negative."""
        return number(self._attributes.get(name))

    def truth(self, name: str) -> bool | None:
        value = self._attributes.get(name)
        if isinstance(value, str):
            return _TRUTH.get(value.lower())
        return value if isinstance(value, bool) else None

    def content(self, *names: str) -> str | None:
        """What somebody wrote, the first of these there is, cut; None where it is not kept."""
        found = self.unkept(*names)
        if not self.keep or found is None:
            return None
        return found if len(found) <= CONTENT_CHARS else found[: CONTENT_CHARS - 1] + "…"

    def unkept(self, *names: str) -> str | None:
        """The same whole, to read a fact out of it; not to be stored."""
        values = (self._attributes.get(name) for name in names)
        return next((value for value in values if isinstance(value, str) and value), None)

    def given(self, *names: str) -> Any:
        """A tool's input: the object its JSON holds, else the text; None where it is not kept."""
        text = self.content(*names)
        return None if text is None else object_in(text) or text

    def nested(self, name: str) -> Attributes:
        """An object, or one in JSON; empty where there is none."""
        value = self._attributes.get(name)
        return value if isinstance(value, dict) else object_in(value)


def object_in(text: Value) -> dict[str, Any]:
    """The object a JSON text holds; empty where it holds none."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def number(value: Value) -> float | None:
    """A number that is not negative and can be added up."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 2**53 else None


def some(**fields: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def prompt_of(reading: Reading) -> dict[str, Any]:
    """The payload of a person's message; what it says stands there only where it is kept."""
    text = reading.content("prompt", "prompt_text")
    length = reading.whole("prompt_length")
    if text is None:
        told = "not kept" if length is None else f"{length} characters, not kept"
        return {"role": "user", "content": f"({told})", "redacted": True}
    return {"role": "user", "content": text}
