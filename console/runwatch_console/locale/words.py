"""The console's words in one language, by id; which languages there are, and which one an
environment asks for.
"""

from collections.abc import Mapping
from typing import Final

from runwatch_console.locale import (
    en,
    en_contexts,
    en_inquiry,
    en_logins,
    en_machines,
    en_places,
    en_replay,
    en_settings,
    en_told,
    zh,
    zh_contexts,
    zh_inquiry,
    zh_logins,
    zh_machines,
    zh_places,
    zh_replay,
    zh_settings,
    zh_told,
)

LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        **en.WORDS,
        **en_contexts.WORDS,
        **en_inquiry.WORDS,
        **en_logins.WORDS,
        **en_machines.WORDS,
        **en_places.WORDS,
        **en_replay.WORDS,
        **en_settings.WORDS,
        **en_told.WORDS,
    },
    "zh": {
        **zh.WORDS,
        **zh_contexts.WORDS,
        **zh_inquiry.WORDS,
        **zh_logins.WORDS,
        **zh_machines.WORDS,
        **zh_places.WORDS,
        **zh_replay.WORDS,
        **zh_settings.WORDS,
        **zh_told.WORDS,
    },
}


class Words:
    """Looks words up: `words("list.of", n=3, total=5)`."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._table = LANGUAGES[self.language]

    def __call__(self, word_id: str, **facts: object) -> str:
        """The text of an id with its facts filled in.

        Raises:
            KeyError: No such id: a defect of the program, never of data.
        """
        text = self._table[word_id]
        return text.format(**facts) if facts else text


def counted(words: Words, word_id: str, n: int) -> str:
    """The text of an id for so many, in the form of its language: `+1 event`, `+1,204 events`."""
    return words(f"{word_id}.one") if n == 1 else words(word_id, n=f"{n:,}")


def language_of(asked: str, environment: Mapping[str, str]) -> str:
    """`en` or `zh`: what was asked for, else what `LC_ALL`, `LC_MESSAGES` or `LANG` say."""
    if asked in LANGUAGES:
        return asked
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return "zh" if value.casefold().startswith("zh") else "en"
    return "en"
