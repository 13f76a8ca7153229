"""How one logs in to an agent: the program to run and what it says; runs nothing."""

import re
from typing import Final, Literal

import msgspec

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


def wrong_with(recipe: LoginRecipe) -> str | None:
    """What makes a recipe useless, ``None`` if nothing does."""
    if not recipe.command or not recipe.command[0]:
        return "command is empty"
    for name in PATTERNS:
        try:
            re.compile(getattr(recipe, name))
        except re.error as error:
            return f"{name}: {error}"
    for pattern in recipe.answers:
        try:
            re.compile(pattern)
        except re.error as error:
            return f"answers: {error}"
    for place in (*recipe.files, recipe.credential):
        if place.startswith("/") or ".." in place.split("/"):
            return f"{place!r} is no place in a home"
    if not (recipe.success or recipe.credential or recipe.exits):
        return "it needs success, credential or exits, to know the end of a login"
    return None


def encoded(recipe: LoginRecipe) -> bytes:
    """For a login's own process, which decodes it with `decoded`."""
    return msgspec.json.encode(recipe)


def decoded(data: bytes) -> LoginRecipe:
    """
    Raises:
        msgspec.MsgspecError: It is none.
    """
    return msgspec.json.decode(data, type=LoginRecipe)
