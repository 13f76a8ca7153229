"""The command line: what may be typed after `:`, how it is completed and understood; no Textual."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runwatch_console.columns import RUN_COLUMNS, column_id
from runwatch_console.filters import FIELDS, STATES
from runwatch_console.fleet import Fleet
from runwatch_console.ordering import SORTS
from runwatch_console.themes import THEMES


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `argument`: what completes after it; `help`: id of the locale is
    `command.<name>`.
    """

    name: str
    aliases: tuple[str, ...] = ()
    argument: str = ""
    """`run`, `sort`, `filter`, `time`, `theme`, `view`, `context`, `columns`, `export`, or
    nothing."""
    needs_argument: bool = False


COMMANDS: Final = (
    Command("attention", ("home", "needs")),
    Command("runs", ("workflows", "wf"), "filter"),
    Command("run", (), "run", needs_argument=True),
    Command("nodes", ("no",)),
    Command("auth"),
    Command("pulse", ("stats",)),
    Command("tasks"),
    Command("new"),
    Command("cancel", (), "run"),
    Command("retry", (), "run"),
    Command("explain", ("why",), "run"),
    Command("diff", ("compare",), "runs", needs_argument=True),
    Command("filter", (), "filter"),
    Command("sort", (), "sort"),
    Command("time", (), "time"),
    Command("theme", (), "theme"),
    Command("low-bw", (), "switch"),
    Command("view", ("v", "views"), "view"),
    Command("save", (), "view", needs_argument=True),
    Command("columns", ("cols",), "columns"),
    Command("export", (), "export"),
    Command("export!", (), "export"),
    Command("ctx", ("context", "contexts"), "context"),
    Command("reconnect"),
    Command("help", ("h",)),
    Command("quit", ("q", "exit")),
)
COLUMNS: Final = tuple(column_id(column) for column in RUN_COLUMNS)
"""Of the Runs screen."""
SWITCH: Final = ("on", "off")
TIMES: Final = ("relative", "local", "UTC")


class CommandError(ValueError):
    """Not understood. `word` is an id of the locale, `facts` its facts."""

    def __init__(self, word: str, **facts: str) -> None:
        super().__init__(word)
        self.word = word
        self.facts = facts


def parse_command(text: str) -> tuple[str, str]:
    """The command's name and its argument, from what was typed; an unambiguous beginning is enough.

    Raises:
        CommandError: No such command, several with this beginning, or the argument is missing.
    """
    typed, _, argument = text.strip().removeprefix(":").partition(" ")
    argument = argument.strip()
    command = _command_named(typed)
    if command.needs_argument and not argument:
        raise CommandError("command.needs_argument", name=command.name)
    return command.name, argument


def _command_named(typed: str) -> Command:
    exact = [c for c in COMMANDS if typed in (c.name, *c.aliases)]
    begins = exact or [c for c in COMMANDS if typed and c.name.startswith(typed)]
    if not begins:
        raise CommandError("command.unknown", name=typed)
    if len(begins) > 1:
        raise CommandError("command.ambiguous", name=typed, names=" ".join(c.name for c in begins))
    return begins[0]


def complete_command(
    text: str, fleet: Fleet, views: Sequence[str] = (), contexts: Sequence[str] = ()
) -> list[str]:
    """Whole lines that may come of what was typed, the likeliest first; at most 50."""
    typed, space, argument = text.partition(" ")
    if not space:
        names = [c.name for c in COMMANDS if c.name.startswith(typed)]
        aliases = [a for c in COMMANDS for a in c.aliases if typed and a.startswith(typed)]
        return [*names, *(a for a in aliases if a not in names)]
    try:
        command = _command_named(typed)
    except CommandError:
        return []
    if command.argument == "filter":
        return [f"{typed} {line}" for line in complete_filter(argument, fleet)]
    if command.argument == "runs":
        before, gap, argument = argument.rpartition(" ")
        typed = f"{typed} {before}" if gap else typed
    named = {"view": views, "context": contexts}.get(command.argument)
    if named is not None:
        return [f"{typed} {name}" for name in _matching(named, argument)]
    if command.argument == "columns":
        before, space, argument = argument.rpartition(" ")
        return [f"{typed} {before}{space}{name}" for name in _matching(COLUMNS, argument)]
    choices = _ARGUMENTS.get(command.argument)
    if choices is None:
        return []
    return [f"{typed} {choice}" for choice in _matching(choices(fleet), argument)]


def complete_filter(text: str, fleet: Fleet) -> list[str]:
    """Whole filter lines that may come of what was typed; the last term is completed."""
    before, space, term = text.rpartition(" ")
    bang = "!" if term.startswith("!") else ""
    name, colon, value = term.removeprefix("!").partition(":")
    if not colon:
        found = [f"{field}:" for field in FIELDS if field.startswith(name)]
    else:
        head, comma, last = value.rpartition(",")
        values = _VALUES.get(name, _nothing)(fleet)
        found = [f"{name}:{head}{comma}{v}" for v in _matching(values, last)]
    return [f"{before}{space}{bang}{term_}" for term_ in found]


def _matching(choices: Iterable[str], typed: str) -> list[str]:
    folded = typed.casefold()
    return [choice for choice in choices if choice.casefold().startswith(folded)][:50]


def _nothing(_: Fleet) -> Sequence[str]:
    return ()


def _run_ids(fleet: Fleet) -> Sequence[str]:
    runs = sorted(fleet.runs.values(), key=lambda run: (-run.attention, run.id))
    return [run.id for run in runs]


_ARGUMENTS: Final[dict[str, Callable[[Fleet], Sequence[str]]]] = {
    "run": _run_ids,
    "runs": _run_ids,
    "sort": lambda _: [sort.id for sort in SORTS],
    "time": lambda _: TIMES,
    "theme": lambda _: tuple(THEMES),
    "switch": lambda _: SWITCH,
    "export": lambda _: ("json", "csv"),
}
_VALUES: Final[dict[str, Callable[[Fleet], Sequence[str]]]] = {
    "s": lambda _: STATES,
    "node": lambda fleet: sorted({run.node for run in fleet.runs.values() if run.node}),
    "agent": lambda fleet: sorted({run.agent for run in fleet.runs.values() if run.agent}),
    "label": lambda fleet: sorted({key for run in fleet.runs.values() for key in run.labels}),
}


def find_run(fleet: Fleet, typed: str) -> str | None:
    """The id of the run that was meant: exact, else the only one that begins or ends so.

    None when there is none or when there are several; an id that looks whole is taken as it is,
    since the
    server may know runs that are not on the screen.
    """
    if typed in fleet.runs:
        return typed
    found = [run_id for run_id in fleet.runs if run_id.startswith(typed) or run_id.endswith(typed)]
    if len(found) == 1:
        return found[0]
    whole = typed.startswith("run-") and len(typed) == 16
    return typed if not found and whole else None
