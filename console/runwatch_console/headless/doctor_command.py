"""The command `doctor` (Typer): looks at everything and prints what it found, as text or JSON."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer

from runwatch_console.doctor.findings import Finding, Level
from runwatch_console.doctor.machine import look_at_clipboard, look_at_data, look_at_settings
from runwatch_console.doctor.server import look_at_server
from runwatch_console.doctor.terminal import Terminal, asking, look_at_terminal, look_at_widths
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import json_text
from runwatch_console.headless.launching import app, launch_of
from runwatch_console.headless.session import Printer, Session, terminal_printer
from runwatch_console.headless.texts import coloured, pad
from runwatch_console.locale.words import Words
from runwatch_console.settings_place import settings_path
from runwatch_shared.errors import SettingsError

TONES: Final = {Level.OK: "done", Level.WARN: "waiting", Level.FAIL: "failed"}
LEVEL_CELLS: Final = 6
CHECK_CELLS: Final = 18


class DoctorOutput(StrEnum):
    """How `doctor` prints."""

    TEXT = "text"
    JSON = "json"


@app.command()
def doctor(
    ctx: typer.Context,
    output: Annotated[
        DoctorOutput, typer.Option("--output", "-o", help="How to print.")
    ] = DoctorOutput.TEXT,
) -> None:
    """Look at settings, terminal, clipboard and server, and say how to mend what is wrong.

    Exit code: 0 nothing has failed, 1 something has.
    """
    launch = launch_of(ctx)
    session: Session | None = None
    problem = ""
    try:
        session = launch.open_session()
    except SettingsError as error:
        problem = str(error)
    words = launch.words if session is None else session.words
    printer = (
        terminal_printer(sys.stdout, sys.stderr, os.environ) if session is None else session.printer
    )
    asks = output is DoctorOutput.TEXT
    findings = [
        *look_at_settings(settings_path(launch.typed, os.environ), problem),
        *_here(asks=asks),
    ]
    if session is not None:
        findings += _data(session)
        findings += asyncio.run(_server(session))
    _print(findings, output, words, printer)
    failed = any(finding.level is Level.FAIL for finding in findings)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.DONE)


def _here(*, asks: bool) -> list[Finding]:
    """This terminal. It is asked for widths only where the answer does not come between data."""
    tty = sys.stdout.isatty()
    columns, lines = shutil.get_terminal_size()
    terminal = Terminal(
        environment=os.environ,
        encoding=sys.stdout.encoding or "",
        size=(columns, lines) if tty else None,
    )
    findings = list(look_at_terminal(terminal))
    if asks and tty and sys.stdin.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        sys.stdout.flush()
        with asking(sys.stdin.fileno(), sys.stdout.fileno()) as ask:
            findings.append(look_at_widths(ask))
    return [*findings, look_at_clipboard(os.environ)]


def _data(session: Session) -> Iterable[Finding]:
    if session.context is None:
        return []
    return look_at_data(session.context.data_dir)


async def _server(session: Session) -> list[Finding]:
    if session.context is None:
        return []
    api = session.network.api()
    try:
        return [finding async for finding in look_at_server(session.context, api)]
    finally:
        await api.aclose()


def _print(
    findings: Sequence[Finding], output: DoctorOutput, words: Words, printer: Printer
) -> None:
    if output is DoctorOutput.JSON:
        failed = any(finding.level is Level.FAIL for finding in findings)
        found = [
            {
                "check": finding.check,
                "level": finding.level.value,
                "text": finding.text(words),
                "mend": finding.mending(words),
            }
            for finding in findings
        ]
        printer.write(f"{json_text({'ok': not failed, 'findings': found}, indent=2)}\n")
        return
    for finding in findings:
        level = pad(words(f"doctor.level.{finding.level}"), LEVEL_CELLS)
        level = coloured(level, TONES[finding.level]) if printer.colour else level
        printer.write(f"{level}{pad(finding.check, CHECK_CELLS)}{finding.text(words)}\n")
        if mend := finding.mending(words):
            printer.write(f"{' ' * (LEVEL_CELLS + CHECK_CELLS)}→ {mend}\n")
