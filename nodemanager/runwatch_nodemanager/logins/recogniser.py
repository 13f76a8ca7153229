"""What a login's screen means: which page to open, which code, what is asked, how it ended.

Knows nothing of processes: it is given a screen after each change of it.
"""

import re
from dataclasses import dataclass
from typing import Final

from runwatch_nodemanager.logins.screen import Screen
from runwatch_shared.settings import LoginRecipe
from runwatch_shared.text import clean

URL_CHARS: Final = 4096
SHOWN_CHARS: Final = 500
GONE_LINES: Final = 200
"""So many of the newest lines that the screen has no more are looked at."""
KINDS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    (
        "the vendor could not be reached",
        re.compile(
            r"EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|getaddrinfo"
            r"|error sending request|fetch failed|unable to (?:get|verify)|certificate"
            r"|dns error|network error",
            re.IGNORECASE,
        ),
    ),
    (
        "the code was not accepted",
        re.compile(r"invalid[_ ]grant|invalid.{0,3}code|wasn't accepted|code.*invalid", re.I),
    ),
    (
        "the login was denied",
        re.compile(
            r"access_denied|denied|declined|forbidden|not allowed|auth failed with status 4", re.I
        ),
    ),
    ("the login expired", re.compile(r"expired|timed out|timeout", re.IGNORECASE)),
    (
        "this version of the agent cannot log in so",
        re.compile(r"discontinued|not enabled|unknown command|unrecognized|unexpected arg", re.I),
    ),
)
"""Why a login failed, by what its program says; the first that fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What can be seen now.

    Args:
        asking: It waits for what the page gave.
        refused: A code that was typed was not accepted, in the program's words; told once.
        answer: Keys to press, told once.
    """

    url: str | None = None
    code: str | None = None
    lifetime_min: int | None = None
    asking: str | None = None
    refused: str | None = None
    answer: str | None = None
    token: str | None = None
    succeeded: bool = False
    failure: str | None = None


class Recogniser:
    """Of one login."""

    def __init__(self, recipe: LoginRecipe) -> None:
        self._recipe = recipe
        self._seen: dict[str, int] = {}
        """How often what is told once was there when it was last looked for."""

    def look(self, screen: Screen) -> Sight:
        recipe = self._recipe
        shown = screen.text
        both = "\n".join((*list(screen.gone)[-GONE_LINES:], *screen.behind, shown))
        code = _found(recipe.code, shown) or _found(recipe.code, both)
        lifetime = _found(recipe.lifetime, both)
        refused = self._anew(recipe.refused, shown)
        answers = [keys for pattern, keys in recipe.answers.items() if self._anew(pattern, shown)]
        return Sight(
            url=self._url(screen, shown, both),
            code=clean(code, limit=64, fold=True) if code else None,
            lifetime_min=int(lifetime) if lifetime and lifetime.isdigit() else None,
            asking=_found(recipe.prompt, shown),
            refused=one_line(refused) if refused else None,
            answer=answers[0] if answers else None,
            token=_found(recipe.token, shown) or _found(recipe.token, both),
            succeeded=bool(recipe.success and re.search(recipe.success, both)),
            failure=_found(recipe.failure, both),
        )

    def _url(self, screen: Screen, shown: str, both: str) -> str | None:
        """The newest page; a link says it whole, whatever the screen cuts or draws into it."""
        if not self._recipe.url:
            return None
        for link in reversed(screen.links):
            if re.fullmatch(self._recipe.url, link):
                return _safe_url(link)
        found = [
            match.group() for text in (both, shown) for match in re.finditer(self._recipe.url, text)
        ]
        return _safe_url(found[-1]) if found else None

    def _anew(self, pattern: str, shown: str) -> str | None:
        """What it matches last, if it is there more often than before."""
        if not pattern:
            return None
        matches = list(re.finditer(pattern, shown))
        before = self._seen.get(pattern, 0)
        self._seen[pattern] = len(matches)
        return _words(matches[-1]) if len(matches) > before else None


def failed_because(words: str) -> str:
    """A sentence for people, in our words where they are known, and in the program's."""
    line = one_line(words)
    for sentence, pattern in KINDS:
        if pattern.search(line):
            return f"{sentence}: {line}"
    return line


def last_words(screen: Screen) -> str:
    """The last line that says anything; a box has none."""
    for line in reversed([*screen.gone, *screen.lines]):
        if any(char.isalpha() for char in line):
            return one_line(line)
    return ""


def one_line(text: str) -> str:
    return clean(text, limit=SHOWN_CHARS, fold=True)


def _found(pattern: str, text: str) -> str | None:
    if not pattern:
        return None
    matches = list(re.finditer(pattern, text))
    return _words(matches[-1]) if matches else None


def _words(match: "re.Match[str]") -> str:
    """The first group that took part, else all of it."""
    groups = [group for group in match.groups() if group is not None]
    return groups[0] if groups else match.group()


def _safe_url(url: str) -> str | None:
    """A page's address as it may be shown and opened: nothing but printable ASCII."""
    fits = url.startswith(("https://", "http://")) and len(url) <= URL_CHARS
    return url if fits and url.isascii() and url.isprintable() else None
