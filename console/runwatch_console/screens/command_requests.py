"""What each command of the command line asks the app for; the words it understands are in
`commands`.
"""

from collections.abc import Callable
from typing import Final, Literal

from textual.message import Message

from runwatch_console.commands import COLUMNS, SWITCH, TIMES, CommandError, find_run, parse_command
from runwatch_console.fleet import Fleet
from runwatch_console.formats import TimeFormat
from runwatch_console.messages import (
    ActionRequested,
    CancelRequested,
    ColumnsRequested,
    DiffRequested,
    ExplainRequested,
    ExportRequested,
    LowBandwidthRequested,
    RetryRequested,
    RunOpenRequested,
    RunsRequested,
    ScreenRequested,
    ServerRequested,
    ServersRequested,
    SortRequested,
    ThemeRequested,
    TimeFormatRequested,
    ViewRequested,
    ViewSaveRequested,
    ViewsRequested,
)
from runwatch_console.ordering import sort_named
from runwatch_console.themes import THEMES
from runwatch_shared.text import clean

_ACTIONS = {
    "new": "new_run",
    "reconnect": "retry_now",
    "help": "help",
    "quit": "quit",
}


def request_of(line: str, fleet: Fleet, run_here: str) -> Message:
    """The message that does what was typed. `run_here`: the run under the cursor, for commands
    without an id.

    Raises:
        CommandError: The line means nothing, or not enough.
    """
    name, argument = parse_command(line)
    if name in _ACTIONS:
        return ActionRequested(_ACTIONS[name])
    if name == "diff":
        return _diff(argument, fleet, run_here)
    if name in _ON_RUNS:
        return _ON_RUNS[name](_run_id(fleet, argument or run_here))
    if name in _WITH_ARGUMENT:
        return _WITH_ARGUMENT[name](argument)
    return ScreenRequested(name)


_ON_RUNS: Final[dict[str, Callable[[str], Message]]] = {
    "run": RunOpenRequested,
    "cancel": lambda run_id: CancelRequested([run_id]),
    "retry": RetryRequested,
    "explain": ExplainRequested,
}


def _diff(argument: str, fleet: Fleet, run_here: str) -> Message:
    """Two runs, or one and the one under the cursor."""
    typed = argument.split()
    if len(typed) == 1:
        typed = [run_here, *typed]
    if len(typed) != 2:
        raise CommandError("command.diff_needs_two")
    left, right = (_run_id(fleet, name) for name in typed)
    if left == right:
        raise CommandError("command.diff_same", name=left)
    return DiffRequested(left, right)


def _runs(argument: str) -> Message:
    return RunsRequested(argument) if argument else ScreenRequested("runs")


def _view(argument: str) -> Message:
    return ViewRequested(argument) if argument else ViewsRequested()


def _context(argument: str) -> Message:
    return ServerRequested(argument) if argument else ServersRequested()


def _time(argument: str) -> Message:
    if argument.casefold() not in map(str.casefold, TIMES):
        raise CommandError("command.no_time", name=clean(argument), names=" ".join(TIMES))
    return TimeFormatRequested(TimeFormat[argument.upper()])


def _theme(argument: str) -> Message:
    if argument not in THEMES:
        raise CommandError("command.no_theme", name=clean(argument), names=" ".join(THEMES))
    return ThemeRequested(argument)


def _low_bandwidth(argument: str) -> Message:
    if argument not in SWITCH:
        raise CommandError("command.no_switch", name=clean(argument), names=" ".join(SWITCH))
    return LowBandwidthRequested(argument == "on")


def _columns(argument: str) -> Message:
    names = argument.replace(",", " ").split()
    wrong = [name for name in names if name not in COLUMNS or names.count(name) > 1]
    if wrong:
        raise CommandError("command.no_column", name=clean(wrong[0]), names=" ".join(COLUMNS))
    return ColumnsRequested(names)


def _export(argument: str, *, anew: bool) -> Message:
    form, _, path = argument.partition(" ")
    chosen = _FORMS.get(form)
    if chosen is None:
        raise CommandError("command.no_form", name=clean(form))
    return ExportRequested(chosen, path.strip(), anew=anew)


_FORMS: Final[dict[str, Literal["json", "csv"]]] = {"json": "json", "csv": "csv"}


def _sort(argument: str) -> Message:
    if sort_named(argument) is None:
        raise CommandError("command.no_sort", name=clean(argument))
    return SortRequested(argument)


_WITH_ARGUMENT: Final[dict[str, Callable[[str], Message]]] = {
    "runs": _runs,
    "filter": _runs,
    "sort": _sort,
    "time": _time,
    "theme": _theme,
    "low-bw": _low_bandwidth,
    "view": _view,
    "ctx": _context,
    "save": ViewSaveRequested,
    "columns": _columns,
    "export": lambda argument: _export(argument, anew=False),
    "export!": lambda argument: _export(argument, anew=True),
}


def _run_id(fleet: Fleet, typed: str) -> str:
    if not typed:
        raise CommandError("command.no_run_here")
    found = find_run(fleet, clean(typed))
    if found is None:
        raise CommandError("command.no_run", name=clean(typed))
    return found
