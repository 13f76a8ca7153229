"""The help of `monitor-tui` itself: commands and flags in groups, in the user's language."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperGroup

from runwatch_console.flags import FLAGS
from runwatch_console.headless.texts import cells, pad

if TYPE_CHECKING:
    from runwatch_console.locale.words import Words

COMMAND_GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "help.lists": (
        *("attention", "runs", "nodes", "tasks", "auth"),
        *("accounts", "instances", "proxies", "stats"),
    ),
    "help.one_run": ("run", "wait", "explain", "diff", "start", "cancel"),
    "help.logins": ("login", "environment"),
    "help.recordings": ("record", "replay"),
    "help.other_forms": ("plain", "serve"),
    "help.itself": ("doctor", "trust", "completion", "man"),
}
"""Headings (ids of the locale) and the commands below them; each command stands below one."""
FLAG_GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "help.server": ("--context", "--server", "--token-file", "--ca", "--data-dir"),
    "help.screen": ("--lang", "--theme", "--time", "--low-bw", "--no-mouse", "--plain", "--serve"),
    "help.demo": ("--demo", "--demo-seed", "--demo-rate", "--demo-runs"),
    "help.all": ("--read-only", "--config", "--version", "--help"),
}
MOST_WIDTH: Final = 100


class GroupedHelp(TyperGroup):
    """The group of all commands. `obj` of its context has the words."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Everything that can be typed, in groups."""
        shown = {
            name: (command.help or "").strip().partition("\n")[0]
            for name, command in self.commands.items()
            if not command.hidden
        }
        formatter.write(help_text(shown, ctx.obj.words, formatter.width))


def help_text(commands: Mapping[str, str], words: "Words", width: int) -> str:
    """The help: `commands` by name, with one sentence each."""
    flags = {flag.name: (f"{flag.name} {flag.value}".rstrip(), words(flag.help)) for flag in FLAGS}
    flags["--version"] = ("--version", words("help.version"))
    flags["--help"] = ("-h, --help", words("help.help"))
    named = {name: (name, text) for name, text in commands.items()}
    parts = [
        words("headless.title"),
        words("help.usage"),
        *_groups(COMMAND_GROUPS, named, words, width),
        words("headless.flags"),
        *_groups(FLAG_GROUPS, flags, words, width),
        words("help.more"),
    ]
    return "\n\n".join(parts) + "\n"


def _groups(
    groups: Mapping[str, Sequence[str]],
    named: Mapping[str, tuple[str, str]],
    words: "Words",
    width: int,
) -> list[str]:
    room = max(cells(left) for left, _ in named.values())
    grouped = {name for names in groups.values() for name in names}
    rest = tuple(name for name in named if name not in grouped)
    parts = []
    for heading, names in {**groups, "help.others": rest}.items():
        rows = [named[name] for name in names if name in named]
        if rows:
            lines = (line for row in rows for line in _row(row, room, width))
            parts.append(f"{words(heading)}\n" + "\n".join(lines))
    return parts


def _row(row: tuple[str, str], room: int, width: int) -> Iterable[str]:
    left, text = row
    space = max(30, min(width, MOST_WIDTH) - room - 4)
    lines = wrap(text, space) if text.isascii() else [text]
    for number, line in enumerate(lines or [""]):
        yield f"  {pad('' if number else left, room)}  {line}".rstrip()
