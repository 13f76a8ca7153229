"""Every key as data: id, keys, action, who owns it and what it means; no Textual.

The ids are what a config file names: `[console.keys]` `"runs.sort" = "o"`.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Owner = Literal[
    "app",
    "list",
    "browse",
    "runs",
    "table",
    "events",
    "json",
    "pulse",
    "tile",
    "peek",
    "diff",
    "auth",
    "nodes",
    "instances",
    "proxies",
    "login",
    "qr",
    "tasks",
    "task",
    "form",
    "dialog",
    "replay",
    "views",
]
"""Which part handles it: the whole console, any list, every screen with rows, lists of runs, a
run's events, …
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One binding. `keys`: comma-separated Textual key names; `help`: id of the locale is
    `key.<id>`.
    """

    id: str
    keys: str
    action: str
    owner: Owner
    hint: bool = False
    """Whether the key line at the bottom may show it."""
    priority: bool = False

    @property
    def help(self) -> str:
        """Id of the sentence that explains it."""
        return f"key.{self.id}"


KEYS: Final = (
    Key("app.attention", "1", "go('attention')", "app"),
    Key("app.runs", "2", "go('runs')", "app"),
    Key("app.run", "3", "go('run')", "app"),
    Key("app.nodes", "4", "go('nodes')", "app"),
    Key("app.auth", "5", "go('auth')", "app"),
    Key("app.pulse", "6", "go('pulse')", "app"),
    Key("app.tasks", "7", "go('tasks')", "app"),
    Key("app.back", "[", "history(-1)", "app"),
    Key("app.forward", "]", "history(1)", "app"),
    Key("app.command", ":", "command", "app", hint=True),
    Key("app.new_run", "ctrl+n", "new_run", "app"),
    Key("app.retry", "r", "retry_now", "app"),
    Key("app.time", "t", "time_format", "app"),
    Key("app.earlier", "<", "step_time(-10)", "app"),
    Key("app.later", ">", "step_time(10)", "app"),
    Key("app.minute_earlier", "{", "step_time(-60)", "app"),
    Key("app.minute_later", "}", "step_time(60)", "app"),
    Key("app.live", "0", "live", "app"),
    Key("app.help", "?", "help", "app", hint=True),
    Key("app.quit", "q", "quit", "app"),
    Key("list.down", "j,down", "move(1)", "list"),
    Key("list.up", "k,up", "move(-1)", "list"),
    Key("list.top", "g,home", "top", "list"),
    Key("list.bottom", "G,end", "bottom", "list"),
    Key("list.half_down", "ctrl+d", "half(1)", "list"),
    Key("list.half_up", "ctrl+u", "half(-1)", "list"),
    Key("list.page_down", "pagedown", "page(1)", "list"),
    Key("list.page_up", "pageup", "page(-1)", "list"),
    Key("list.open", "enter", "open", "list", hint=True),
    Key("browse.back", "escape", "escape", "browse"),
    Key("browse.search", "/", "search", "browse", hint=True),
    Key("browse.next", "n", "search_next(1)", "browse"),
    Key("browse.previous", "N", "search_next(-1)", "browse"),
    Key("browse.copy", "c", "copy_id", "browse"),
    Key("browse.copy_line", "C", "copy_line", "browse"),
    Key("runs.filter", "f", "filter", "runs", hint=True),
    Key("table.search_filter", "&", "search_to_filter", "table"),
    Key("table.invert", "!", "invert", "table"),
    Key("table.sort", "s", "sort", "table", hint=True),
    Key("table.lock", "S", "lock", "table"),
    Key("table.reverse", "R", "reverse", "table"),
    Key("runs.next_waiting", "w", "waiting(1)", "runs", hint=True),
    Key("runs.previous_waiting", "W", "waiting(-1)", "runs"),
    Key("runs.next_error", "e", "error(1)", "runs"),
    Key("runs.previous_error", "E", "error(-1)", "runs"),
    Key("runs.peek", "space", "peek", "runs", hint=True),
    Key("runs.mark", "m", "mark", "runs"),
    Key("runs.explain", "X", "explain", "runs"),
    Key("runs.diff", "D", "diff", "runs"),
    Key("runs.views", "v", "views", "runs"),
    Key("runs.cancel", "ctrl+k", "cancel", "runs"),
    Key("tasks.filter", "f", "filter", "tasks", hint=True),
    Key("tasks.peek", "space", "peek", "tasks"),
    Key("tasks.start", "ctrl+r", "start", "tasks", hint=True),
    Key("tasks.explain", "X", "explain", "tasks"),
    Key("tasks.cancel", "ctrl+k", "cancel", "tasks"),
    Key("task.start", "ctrl+r", "start", "task"),
    Key("auth.copy_url", "u", "copy_url", "auth", hint=True),
    Key("auth.qr", "Q", "show_qr", "auth", hint=True),
    Key("auth.begin", "a", "begin", "auth", hint=True),
    Key("auth.input", "i", "give_input", "auth", hint=True),
    Key("auth.renew", "ctrl+r", "renew", "auth"),
    Key("auth.cancel", "ctrl+k", "cancel", "auth"),
    Key("auth.delete", "delete,ctrl+x", "delete", "auth"),
    Key("nodes.ledger", "l", "ledger", "nodes", hint=True),
    Key("nodes.instances", "i", "instances", "nodes", hint=True),
    Key("nodes.proxies", "p", "proxies", "nodes", hint=True),
    Key("nodes.environment", "v", "environment", "nodes", hint=True),
    Key("instances.create", "a", "create", "instances"),
    Key("instances.start", "s", "start", "instances"),
    Key("instances.stop", "ctrl+k", "stop", "instances"),
    Key("instances.delete", "delete,ctrl+x", "delete", "instances"),
    Key("proxies.add", "a", "add", "proxies"),
    Key("proxies.default", "s", "make_default", "proxies"),
    Key("proxies.test", "t", "test", "proxies"),
    Key("proxies.test_node", "T", "test_from_node", "proxies"),
    Key("proxies.delete", "delete,ctrl+x", "delete", "proxies"),
    Key("login.open", "enter", "open", "login"),
    Key("login.input", "i", "give_input", "login"),
    Key("login.renew", "ctrl+r", "renew", "login"),
    Key("login.cancel", "ctrl+k", "cancel", "login"),
    Key("login.delete", "delete,ctrl+x", "delete", "login"),
    Key("login.qr", "Q", "show_qr", "login"),
    Key("login.copy", "c", "copy_code", "login"),
    Key("login.copy_url", "u", "copy_url", "login"),
    Key("qr.large", "Q", "large", "qr"),
    Key("qr.invert", "i", "invert", "qr"),
    Key("qr.copy", "c", "copy_code", "qr"),
    Key("qr.copy_url", "u", "copy_url", "qr"),
    Key("events.follow", "F", "follow", "events", hint=True),
    Key("events.pause", "p", "pause", "events", hint=True),
    Key("events.next_error", "e", "error(1)", "events", hint=True),
    Key("events.previous_error", "E", "error(-1)", "events"),
    Key("events.next_waiting", "w", "waiting(1)", "events"),
    Key("events.previous_waiting", "W", "waiting(-1)", "events"),
    Key("events.fold", "z", "fold", "events"),
    Key("events.fold_all", "Z", "fold_all", "events"),
    Key("events.wrap", "\\", "wrap", "events"),
    Key("events.json", "J", "json", "events", hint=True),
    Key("events.search_filter", "&", "search_to_filter", "events"),
    Key("events.invert", "!", "invert", "events"),
    Key("events.timeline", "T", "timeline", "events"),
    Key("events.explain", "X", "explain", "events"),
    Key("events.cancel", "ctrl+k", "cancel", "events"),
    Key("json.fold", "z,enter", "fold", "json"),
    Key("json.fold_all", "Z", "fold_all", "json"),
    Key("pulse.left", "h,left", "tile(-1)", "pulse"),
    Key("pulse.right", "l,right", "tile(1)", "pulse"),
    Key("pulse.down", "j,down", "tile_row(1)", "pulse"),
    Key("pulse.up", "k,up", "tile_row(-1)", "pulse"),
    Key("tile.open", "enter", "open", "tile", hint=True),
    Key("peek.close", "space", "close", "peek"),
    Key("peek.open", "enter", "open_run", "peek"),
    Key("diff.next", "n", "difference(1)", "diff"),
    Key("diff.previous", "N", "difference(-1)", "diff"),
    Key("diff.open_second", "o", "open_second", "diff"),
    Key("form.submit", "ctrl+s", "submit", "form"),
    Key("replay.pause", "space,P", "pause_replay", "replay", hint=True, priority=True),
    Key("replay.faster", "+", "speed(1)", "replay", hint=True, priority=True),
    Key("replay.slower", "-", "speed(-1)", "replay", hint=True, priority=True),
    Key("replay.scrub_back", "left", "scrub(-1)", "replay", priority=True),
    Key("replay.scrub_on", "right", "scrub(1)", "replay", priority=True),
    Key("views.delete", "delete,ctrl+x", "delete", "views"),
    Key("dialog.close", "escape,q", "close", "dialog"),
)
"""No destructive key is a motion of vi, and cancelling needs a chord and an answer."""

_SHOWN: Final = {
    "enter": "⏎",
    "escape": "esc",
    "space": "space",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "home": "Home",
    "end": "End",
}


def keys_of(owners: Iterable[Owner]) -> list[Key]:
    """The keys these owners handle, in the order of `owners`."""
    return [key for owner in owners for key in KEYS if key.owner == owner]


def key_text(keys: str) -> str:
    """Keys as people read them: `j ↓`, `^d`, `^k`."""
    shown = []
    for name in keys.split(","):
        stem = name.removeprefix("ctrl+")
        text = _SHOWN.get(stem, stem)
        shown.append(f"^{text}" if stem != name else text)
    return " ".join(shown)


TOGETHER: Final[tuple[tuple[Owner, ...], ...]] = (
    ("list", "runs", "table", "browse", "app"),
    ("events", "list", "browse", "app"),
    ("list", "tasks", "browse", "app"),
    ("list", "auth", "browse", "app"),
    ("list", "nodes", "browse", "app"),
    ("instances", "list", "dialog"),
    ("proxies", "list", "dialog"),
    ("tile", "pulse", "app"),
    ("json",),
    ("peek", "dialog"),
    ("login", "dialog"),
    ("qr", "dialog"),
    ("diff", "list", "dialog"),
    ("task", "dialog"),
    ("form", "dialog"),
    ("views", "list", "dialog"),
    ("replay",),
)
"""Owners whose keys mean something at the same time: none of these may stand twice among them."""

DESTRUCTIVE: Final = frozenset(
    [
        *("runs.cancel", "tasks.cancel", "events.cancel", "views.delete"),
        *("auth.cancel", "auth.delete", "login.cancel", "login.delete"),
        *("instances.stop", "instances.delete", "proxies.delete"),
    ]
)
"""Actions that end or delete something."""
VI_MOTIONS: Final = frozenset(
    [*"hjklwWbBeE0^$gGfFtTnN;,{}()HLM", "ctrl+d", "ctrl+u", "ctrl+f", "ctrl+b", "ctrl+e", "ctrl+y"]
)
BESIDE_APPROVE: Final = frozenset([*"y67tughYTUGH", "enter", "space"])
"""The key that says yes to a question, its neighbours on a keyboard, and what opens."""

_NAMED: Final = frozenset(
    [
        *("enter", "escape", "space", "tab", "backspace", "delete", "insert", "home", "end"),
        *("pageup", "pagedown", "up", "down", "left", "right"),
        *(f"f{number}" for number in range(1, 25)),
    ]
)


_SHORT_NAMES: Final = {
    "slash": "/",
    "backslash": "\\",
    "at": "@",
    "minus": "-",
    "hyphen_minus": "-",
    "plus": "+",
    "underscore": "_",
}
"""Where Textual's name of a sign is not that of Unicode."""


def key_named(name: str) -> str:
    """The one name of a key: a character, `pageup`, `f5`, also after `ctrl+`, `shift+`, `alt+`;
    `question_mark` is `?`. Empty if no key has this name.
    """
    stem = name
    for held in ("ctrl+", "shift+", "alt+"):
        stem = stem.removeprefix(held) if len(stem) > len(held) else stem
    before = name[: len(name) - len(stem)]
    if stem in _NAMED:
        return name
    if len(stem) > 1:
        stem = _SHORT_NAMES.get(stem) or _sign_named(stem)
    return f"{before}{stem}" if stem.isprintable() and not stem.isspace() and stem else ""


def _sign_named(name: str) -> str:
    try:
        return unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return ""
