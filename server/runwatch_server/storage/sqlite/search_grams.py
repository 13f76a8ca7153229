"""Trigrams: what the search index is given of a text, and what it is asked for a word.

Whatever the index finds only may hold the word; who asks looks at the text itself.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from runwatch_server.storage.event_text import texts_in

GRAM: Final = 3
MOST_GRAMS: Final = 24
"""Trigrams asked for of one word: fewer find no less, only less exactly."""

_PADDING: Final = "\n" * (GRAM - 1)
"""Behind a text, so that its last letters begin a trigram too."""
_LAST: Final = "\U0010ffff" * GRAM
_DECODER: Final = msgspec.json.Decoder(Any)


def indexed(folded: str) -> str:
    """A folded text as the index takes it: SQLite's tokenizer ends at a NUL."""
    return _without_nul(folded) + _PADDING


def event_text(payload: bytes) -> str:
    """An event's text for the index: wherever `event_text.Word` looks, folded."""
    text = payload.decode("utf-8", "replace")
    if b"\\" in payload:
        with suppress(msgspec.DecodeError, RecursionError):  # a reader meets it as well
            text = "\n".join((text, *texts_in(_DECODER.decode(payload))))
    return text.casefold()


def expression(q: str) -> str | None:
    """What rows that may hold the word have, for MATCH; None for a word shorter than a trigram."""
    folded = _without_nul(q.casefold())
    grams = list(dict.fromkeys(folded[at : at + GRAM] for at in range(len(folded) - GRAM + 1)))
    if len(grams) > MOST_GRAMS:
        grams = [grams[len(grams) * at // MOST_GRAMS] for at in range(MOST_GRAMS)]
    return " AND ".join(map(_quoted, grams)) or None


def any_of(terms: Iterable[str]) -> str:
    """Rows that have one of some trigrams, for MATCH."""
    return " OR ".join(map(_quoted, terms))


def beginning(q: str) -> tuple[str, str]:
    """The first and the last trigram that may begin with a short word."""
    folded = _without_nul(q.casefold())
    return folded, folded + _LAST


def _without_nul(text: str) -> str:
    return text.replace("\0", "\x01")


def _quoted(gram: str) -> str:
    return '"' + gram.replace('"', '""') + '"'
