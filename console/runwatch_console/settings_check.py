"""What in the user's settings means nothing, beyond their types: keys, views, columns; pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from runwatch_console.columns import NODE_COLUMNS, RUN_COLUMNS, column_id
from runwatch_console.keymap import (
    BESIDE_APPROVE,
    DESTRUCTIVE,
    KEYS,
    TOGETHER,
    VI_MOTIONS,
    Key,
    key_named,
    keys_of,
)
from runwatch_console.locale.words import Words, language_of
from runwatch_console.views import (
    columns_problem,
    find_view,
    name_problem,
    not_one_of,
    view_problem,
    views_of,
)
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ConsoleSettings
from runwatch_shared.text import clean

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "runs": [column_id(column) for column in RUN_COLUMNS],
    "nodes": [column_id(column) for column in NODE_COLUMNS],
}
"""By screen: the columns there are."""


def check_settings(settings: ConsoleSettings, environment: Mapping[str, str]) -> None:
    """See whether everything that is named is there.

    Raises:
        SettingsError: Every entry that means nothing, by its name, in the user's language, a line
            each.
    """
    words = Words(language_of(settings.lang, environment))
    found = problems_of(settings, environment.get("USER", ""), words)
    if problems := [f"[console{entry}: {problem}" for entry, problem in found]:
        raise SettingsError("\n".join(problems))


def problems_of(settings: ConsoleSettings, user: str, words: Words) -> Iterator[tuple[str, str]]:
    """Each entry that means nothing, as `.keys] runs.sort`, and what is wrong with it."""
    for name, problem in key_problems(settings.keys, words):
        yield f".keys] {clean(name, limit=60, fold=True)}", problem
    for screen, names in settings.columns.items():
        shown = clean(screen, limit=60, fold=True)
        if screen not in COLUMNS:
            problem = words("setting.no_columns", names=", ".join(COLUMNS))
            yield f".columns] {shown}", problem
        elif problem := columns_problem(names, COLUMNS[screen], words):
            yield f".columns] {shown}", problem
    for name, saved in settings.views.items():
        if problem := name_problem(name, words) or view_problem(saved, words):
            yield f".views.{clean(name, limit=60, fold=True)}]", problem
    views = views_of(settings.views, user)
    if settings.default_view and find_view(views, settings.default_view) is None:
        names = [clean(view.name, limit=60, fold=True) for view in views]
        yield "] default_view", not_one_of(settings.default_view, names, words)


def key_problems(keymap: Mapping[str, str], words: Words) -> Iterator[tuple[str, str]]:
    """What is wrong with the user's own keys, by action: no such action, no such key, a key that
    has a meaning there already, or one too easily pressed for what it would do.
    """
    by_id = {key.id: key for key in KEYS}
    for name, keys in keymap.items():
        if name not in by_id:
            yield name, not_one_of(name, list(by_id), words)
            continue
        for key in keys.split(","):
            if problem := _key_problem(by_id[name], key.strip(), keymap, words):
                yield name, problem


def _key_problem(action: Key, key: str, keymap: Mapping[str, str], words: Words) -> str:
    shown = clean(key, limit=30, fold=True)
    key = key_named(key)
    if not key:
        return words("setting.no_key", key=shown or "–")
    if action.id in DESTRUCTIVE:
        if key in VI_MOTIONS:
            return words("setting.motion", key=shown, name=action.id)
        if key in BESIDE_APPROVE:
            return words("setting.approve", key=shown, name=action.id)
    for owners in TOGETHER:
        if action.owner not in owners:
            continue
        for other in keys_of(owners):
            taken = {
                key_named(each.strip()) for each in keymap.get(other.id, other.keys).split(",")
            }
            if other.id != action.id and key in taken:
                return words("setting.taken", key=shown, other=other.id)
    return ""
