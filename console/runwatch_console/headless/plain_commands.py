"""The command `plain`, also `--plain`: the console in lines (Typer)."""

import sys
from contextlib import aclosing
from typing import Annotated, Final

import typer

from runwatch_console.fleet_feed import fleet_subscription
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.launching import app, run_to_end, session_of
from runwatch_console.headless.session import ClosableApi, Session
from runwatch_console.plain.commands import PlainCommands
from runwatch_console.plain.console import PlainConsole
from runwatch_console.plain.typed import typed_lines
from runwatch_shared.tasks import TaskOwner

ROWS: Final = 5000


@app.command()
def plain(
    ctx: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Tell what runs do too, not only their states.")
    ] = False,
) -> None:
    """Tell each change as a line and take commands as lines: for screen readers.

    Needs no terminal. Ends with quit, or with its input.
    """
    session = session_of(ctx)
    run_to_end(session, lambda api: _plain(session, api, verbose=verbose))


async def _plain(session: Session, api: ClosableApi, *, verbose: bool) -> ExitCode:
    console = PlainConsole(session, session.network.feed(fleet_subscription(ROWS)), verbose=verbose)
    target = session.target
    console.tell("plain.begin", context=target.context, url=target.server_url)
    async with TaskOwner("plain") as owner:
        owner.spawn(console.listen(), name="plain listen")
        owner.spawn(console.tick(), name="plain tick")
        owner.spawn(console.speak(), name="plain speak")
        async with aclosing(typed_lines(sys.stdin.fileno())) as lines:
            await PlainCommands(console, api, owner).obey(lines)
    return ExitCode.DONE
