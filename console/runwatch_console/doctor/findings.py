"""One thing that was looked at and what was found, before it is put in words; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runwatch_console.locale.words import Words


class Level(StrEnum):
    """How well it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: `<part>.<what>`; `said` and `mend` are ids of the locale, `facts` are clean and hold
    no secret.
    """

    check: str
    level: Level
    said: str
    mend: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def text(self, words: Words) -> str:
        """What was found."""
        return words(self.said, **self.facts)

    def mending(self, words: Words) -> str:
        """How to mend it; empty where there is nothing to."""
        return words(self.mend, **self.facts) if self.mend else ""


def ok(check: str, said: str, **facts: object) -> Finding:
    """It is well."""
    return Finding(check, Level.OK, said, "", facts)


def warn(check: str, said: str, mend: str = "", **facts: object) -> Finding:
    """It works, but not as well as it could."""
    return Finding(check, Level.WARN, said, mend, facts)


def fail(check: str, said: str, mend: str = "", **facts: object) -> Finding:
    """It does not work."""
    return Finding(check, Level.FAIL, said, mend, facts)
