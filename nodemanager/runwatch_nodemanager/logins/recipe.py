"""How one logs in to an agent: the program to run and what it says; runs nothing."""

import re
from typing import Final, Literal

from runwatch_nodemanager.logins.recipes import API_KEY, DEVICE_CODE, OAUTH
from runwatch_shared.settings import LoginRecipe

PATTERNS: Final = (
    "url",
    "code",
    "lifetime",
    "prompt",
    "success",
    "token",
    "refused",
    "failure",
)
"""Fields of a recipe that are regular expressions, beside the keys of ``answers``."""

Waiting = Literal["waiting_oauth", "waiting_device_code"]


def waiting_phase(recipe: LoginRecipe) -> Waiting:
    """What is waited for once a page can be opened."""
    return "waiting_device_code" if recipe.code else "waiting_oauth"


def wrong_with(method: str, recipe: LoginRecipe) -> str | None:
    """What makes a recipe of this method useless, ``None`` if nothing does."""
    if method == API_KEY:
        return None if recipe.variables else "variables is empty"
    if method not in (OAUTH, DEVICE_CODE):
        return f"{method} is none of {OAUTH}, {DEVICE_CODE}, {API_KEY}"
    if not recipe.command or not recipe.command[0]:
        return "command is empty"
    wrong = _wrong_pattern(recipe)
    if wrong is not None:
        return wrong
    for place in (*recipe.files, recipe.credential):
        if place.startswith("/") or ".." in place.split("/"):
            return f"{place!r} is no place in a home"
    if not (recipe.success or recipe.credential or recipe.exits):
        return "it needs success or credential, or a program that ends"
    return None


def _wrong_pattern(recipe: LoginRecipe) -> str | None:
    patterns = [(name, getattr(recipe, name)) for name in PATTERNS]
    for name, pattern in (*patterns, *(("answers", asked) for asked in recipe.answers)):
        try:
            re.compile(pattern)
        except re.error as error:
            return f"{name}: {error}"
    return None
