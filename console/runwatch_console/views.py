"""Views of the Runs screen: those built in, those of the user, how one is found and what is wrong
with one; pure.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from runwatch_console.columns import RUN_COLUMNS, column_id
from runwatch_console.filters import FilterError, filter_problem, parse_filter
from runwatch_console.locale.words import Words
from runwatch_console.ordering import SORTS
from runwatch_shared.settings import SavedView
from runwatch_shared.text import clean

LONGEST_NAME: Final = 40


class View(NamedTuple):
    """A view by its name; `own`: the user's, which can be changed and deleted."""

    name: str
    saved: SavedView
    own: bool = False


BUILT_IN: Final = (
    View("all", SavedView()),
    View("active", SavedView(filter="s:active")),
    View("needs-me", SavedView(filter="s:needs")),
    View("waiting", SavedView(filter="s:wait", sort="age", reversed=True)),
    View("failed-today", SavedView(filter="s:fail ended:today", sort="updated")),
    View("expensive", SavedView(filter="s:active", sort="cost")),
)
"""`mine` comes on top, for who is somebody."""


def views_of(own: Mapping[str, SavedView], user: str) -> list[View]:
    """All views: built in, then the user's by name. `user`: whose runs are `mine`, those with the
    label `owner=<user>`; empty for nobody's.
    """
    mine = [View("mine", SavedView(filter=f"label:owner={user}"))] if _plain(user) else []
    owned = [View(name, saved, own=True) for name, saved in sorted(own.items())]
    return [*BUILT_IN, *mine, *owned]


def find_view(views: Sequence[View], typed: str) -> View | None:
    """The view with this name, else the only one whose name begins so."""
    exact = [view for view in views if view.name == typed]
    begins = exact or [view for view in views if typed and view.name.startswith(typed)]
    return begins[0] if len(begins) == 1 else None


def name_problem(name: str, words: Words) -> str:
    """Why a view cannot be kept under this name; empty if it can."""
    if not name or len(name) > LONGEST_NAME or clean(name, fold=True).strip() != name:
        return words("view.bad_name", most=LONGEST_NAME)
    if name == "mine" or any(view.name == name for view in BUILT_IN):
        return words("view.built_in", name=name)
    return ""


def view_problem(saved: SavedView, words: Words) -> str:
    """What in a view means nothing; empty if nothing does."""
    try:
        parse_filter(clean(saved.filter))
    except FilterError as error:
        return f"filter: {filter_problem(error, words)}"
    sorts = [sort.id for sort in SORTS]
    if saved.sort not in sorts:
        return f"sort: {not_one_of(saved.sort, sorts, words)}"
    return columns_problem(saved.columns, [column_id(each) for each in RUN_COLUMNS], words)


def columns_problem(names: Sequence[str], known: Sequence[str], words: Words) -> str:
    """Which column there is none of, or which stands twice; empty if none."""
    for name in names:
        if name not in known:
            return f"columns: {not_one_of(name, known, words)}"
        if names.count(name) > 1:
            return f"columns: {words('view.twice', name=name)}"
    return ""


def not_one_of(name: str, known: Sequence[str], words: Words) -> str:
    """A name that is none of the known ones, with the nearest of them, or else all."""
    near = get_close_matches(name, known, n=1)
    shown = clean(name, limit=LONGEST_NAME, fold=True)
    if near:
        return words("setting.near", name=shown, near=near[0])
    return words("setting.one_of", name=shown, names=", ".join(known))


def _plain(user: str) -> bool:
    return bool(user) and all(each.isalnum() or each in "._-@" for each in user)
