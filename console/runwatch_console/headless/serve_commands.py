"""The command `serve`, also `--serve`: the console in a browser (Typer)."""

import asyncio
import os
from typing import Annotated

import typer

from runwatch_console.headless.exits import CommandError, ExitCode
from runwatch_console.headless.launching import app, launch_of, session_of
from runwatch_console.serve_plan import DEFAULT_HOST, DEFAULT_PORT, MOST_PORT, serve_plan


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=MOST_PORT, metavar="N", help="Port; 0 takes a free one.")
    ] = DEFAULT_PORT,
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="Start, cancel and change things there too.")
    ] = False,
    serve_token_file: Annotated[
        str,
        typer.Option(metavar="FILE", help="Token of the page; needed beyond this machine."),
    ] = "",
) -> None:
    """Show the console in a browser, until Ctrl-C.

    Prints the address to open. Nobody comes in without the token in it, made anew at each start.
    """
    launch, session = launch_of(ctx), session_of(ctx)
    words, printer = launch.words, session.printer
    plan = serve_plan(
        host=host,
        port=port,
        allow_writes=allow_writes,
        token_file=serve_token_file,
        typed=launch.typed,
        environment=os.environ,
    )
    try:
        # The library is heavy, and an extra of its own.
        from runwatch_console.serve import serve_until_told
    except ModuleNotFoundError as error:
        text = words("headless.no_serve_extra", name=error.name)
        raise CommandError(ExitCode.USAGE, text) from error
    if not plan.loopback:
        printer.say(words("serve.in_clear", host=plan.host))
    if allow_writes:
        printer.say(words("serve.writes"))

    def ready(address: str) -> None:
        printer.say(words("serve.open"))
        printer.write(f"{address}\n")

    try:
        asyncio.run(serve_until_told(plan, ready))
    except OSError as error:
        text = words("serve.no_port", host=plan.host, port=plan.port, detail=error.strerror)
        raise CommandError(ExitCode.FAILED, text) from error
