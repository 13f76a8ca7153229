"""What each command of the command line asks the app for; the words it understands are in
`commands`.
"""

from collections.abc import Callable
from typing import Final

from textual.message import Message

from runwatch_console.commands import TIMES, CommandError, find_run, parse_command
from runwatch_console.fleet import Fleet
from runwatch_console.messages import (
    ActionRequested,
    CancelRequested,
    DiffRequested,
    ExplainRequested,
    RetryRequested,
    RunOpenRequested,
    RunsRequested,
    ScreenRequested,
    SortRequested,
    ThemeRequested,
    TimeFormatRequested,
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
    match name:
        case "runs" | "filter":
            return RunsRequested(argument) if argument else ScreenRequested("runs")
        case "sort":
            return _sort(argument)
        case "time":
            if argument not in TIMES:
                raise CommandError("command.no_time", name=clean(argument), names=" ".join(TIMES))
            return TimeFormatRequested(argument)
        case "theme":
            if argument not in THEMES:
                raise CommandError("command.no_theme", name=clean(argument), names=" ".join(THEMES))
            return ThemeRequested(argument)
        case _:
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


def _sort(argument: str) -> Message:
    if sort_named(argument) is None:
        raise CommandError("command.no_sort", name=clean(argument))
    return SortRequested(argument)


def _run_id(fleet: Fleet, typed: str) -> str:
    if not typed:
        raise CommandError("command.no_run_here")
    found = find_run(fleet, clean(typed))
    if found is None:
        raise CommandError("command.no_run", name=clean(typed))
    return found
