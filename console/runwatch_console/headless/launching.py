"""How a command without a screen begins and ends, and the options that several have (Typer)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from runwatch_console.filters import FilterError, filter_problem
from runwatch_console.headless.exits import ExitCode, api_error, usage_error
from runwatch_console.headless.formats import Output
from runwatch_console.headless.help import GroupedHelp
from runwatch_console.headless.session import ClosableApi, Session
from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError

if TYPE_CHECKING:
    from runwatch_console.replay.playback import Playback

F = TypeVar("F")

app = typer.Typer(
    name="monitor-tui",
    cls=GroupedHelp,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
"""All the commands; the modules that define them add them when they are loaded."""

RunId = Annotated[str, typer.Argument(metavar="ID", help="Id of the run.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Go on and print what changes.")]
FilterOption = Annotated[
    str,
    typer.Option("--filter", "-f", metavar="FILTER", help="Only what matches, as in the console."),
]
LimitOption = Annotated[int, typer.Option(min=1, metavar="N", help="Print at most so many.")]


def refuse_json_stream(words: Words, output: Output, *, endless: bool) -> None:
    """JSON is one document, which a stream never finishes.

    Raises:
        CommandError: Both were asked for.
    """
    if endless and output is Output.JSON:
        raise usage_error(words, "headless.json_watch")


def filter_typed(words: Words, parse: Callable[[str], F], text: str) -> F:
    """What a filter means to the one who reads it.

    Raises:
        CommandError: It means nothing.
    """
    try:
        return parse(text)
    except FilterError as error:
        problem = filter_problem(error, words)
        raise usage_error(words, "headless.filter", problem=problem) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What a command line starts with."""

    open_session: Callable[[], Session]
    words: Words
    play: "Callable[[Playback], int]"
    """Shows a recording on the terminal; gives the exit code."""
    typed: Mapping[str, str | bool]
    """The common flags that were typed, by setting name."""


def launch_of(ctx: typer.Context) -> Launch:
    """What this command line started with."""
    launch: Launch = ctx.obj
    return launch


def session_of(ctx: typer.Context) -> Session:
    """The command begins here: before, for help and usage errors, no settings are read."""
    return launch_of(ctx).open_session()


def run_to_end(session: Session, work: Callable[[ClosableApi], Awaitable[ExitCode]]) -> NoReturn:
    """Run one command to its end and leave with its code.

    Raises:
        CommandError: It did not succeed.
    """

    async def with_api() -> ExitCode:
        api = session.network.api()
        try:
            return await work(api)
        finally:
            await api.aclose()

    try:
        code = asyncio.run(with_api())
    except ApiError as error:
        raise api_error(error, session.words, session.target) from error
    except BrokenPipeError:
        code = ExitCode.PIPE_CLOSED
    raise typer.Exit(code)
