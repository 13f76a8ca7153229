"""Finding a word in an event's payload (contract 6.1, ``q``); reading rows is the store's part."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

_DECODER: Final = msgspec.json.Decoder()


class Word:
    """A word searched for, case folded once."""

    def __init__(self, q: str) -> None:
        self._folded = q.casefold()

    def within(self, payload: bytes | None) -> bool:
        """Whether the payload's text has the word, as it came or as its strings read.

        A sender may write ``é`` as ``\\u00e9`` and must write a quote as ``\\"``: where there is a
        backslash the values themselves are looked at too.
        """
        if payload is None:
            return False
        if self._folded in payload.decode("utf-8", "replace").casefold():
            return True
        if b"\\" not in payload:
            return False
        return any(self._folded in text.casefold() for text in texts_in(_DECODER.decode(payload)))


def texts_in(value: Any) -> Iterator[str]:
    """Every string of a decoded payload, the names of its fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from texts_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts_in(part)
