"""The command `trust` and its arguments (Typer); its work is in `trusting`."""

import asyncio
import sys
from typing import Annotated, Final

import typer

from runwatch_console.headless.launching import app, session_of
from runwatch_console.headless.trusting import forget_server, trust_server

LONGEST_ANSWER: Final = 16


@app.command()
def trust(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="[URL]", help="Of the server.")] = "",
    fingerprint: Annotated[
        str,
        typer.Option(
            metavar="SHA256:…", help="What `monitor-server fingerprint` prints; nobody is asked."
        ),
    ] = "",
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove what is remembered of the server.")
    ] = False,
) -> None:
    """Remember a server's certificate, or forget it."""
    session = session_of(ctx)
    if forget:
        raise typer.Exit(forget_server(session, url))
    ask = _asked if sys.stdin.isatty() and sys.stderr.isatty() else None
    raise typer.Exit(asyncio.run(trust_server(session, url, fingerprint, ask)))


def _asked(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline(LONGEST_ANSWER).strip().casefold() in ("y", "yes")
