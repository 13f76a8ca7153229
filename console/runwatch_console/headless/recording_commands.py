"""The commands about recordings: `record` and `replay` (Typer)."""

import re
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from runwatch_console.headless.exits import CommandError, ExitCode, usage_error
from runwatch_console.headless.launching import app, launch_of, run_to_end, session_of
from runwatch_console.headless.recording import Wanted, record_feed
from runwatch_console.locale.words import Words
from runwatch_console.recording.format import RecordingError
from runwatch_console.recording.reader import Recording
from runwatch_console.replay.playback import Playback, begin_of, speed_of
from runwatch_shared.text import clean

_BYTES: Final = re.compile(r"(\d{1,15})([kKMG]?)(?:i?B)?")
_UNITS: Final = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}
LEAST_BYTES: Final = 64 * 1024

File = Annotated[Path, typer.Argument(metavar="FILE", help="The recording.")]


@app.command()
def record(
    ctx: typer.Context,
    file: File,
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="ID", help="Keep the events of this run too; repeatable."),
    ] = None,
    with_events: Annotated[
        bool, typer.Option("--with-events", help="Keep the events of all runs under way.")
    ] = False,
    max_bytes: Annotated[
        str, typer.Option("--max-bytes", metavar="N", help="Go on in another file beyond (100M).")
    ] = "",
    keep: Annotated[
        int, typer.Option(min=0, max=1000, metavar="N", help="So many full files are kept.")
    ] = 4,
    duration: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="End after that.")
    ] = None,
) -> None:
    """Keep the feed in a file with its times, until ^C; a name that ends in .gz compresses it."""
    session = session_of(ctx)
    wanted = Wanted(
        path=file,
        run_ids=[run_id for text in runs or () for run_id in text.split(",") if run_id],
        with_events=with_events,
        max_bytes=_bytes_of(max_bytes, session.words),
        keep=keep,
        duration_s=duration,
    )
    run_to_end(session, lambda api: record_feed(session, api, wanted))


@app.command()
def replay(
    ctx: typer.Context,
    file: File,
    speed: Annotated[str, typer.Option(metavar="N", help="From 0.25 to 64, or max.")] = "1",
    begin: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Begin there: 10:31, 10:31:22 or 90s.")
    ] = "",
    paused: Annotated[bool, typer.Option("--paused", help="Begin without moving.")] = False,
) -> None:
    """Show a recording as if it were live."""
    launch = launch_of(ctx)
    try:
        rate = speed_of(speed)
        with closing(Recording(file)) as recording:
            playback = Playback(
                path=file,
                recording=recording,
                speed=rate,
                begin_s=begin_of(begin, recording),
                paused=paused,
            )
            raise typer.Exit(launch.play(playback))
    except RecordingError as error:
        facts = {name: clean(str(fact), limit=300, fold=True) for name, fact in error.facts.items()}
        raise CommandError(ExitCode.USAGE, launch.words(error.word, **facts)) from error


def _bytes_of(text: str, words: Words) -> int | None:
    if not text:
        return None
    match = _BYTES.fullmatch(text)
    size = int(match[1]) * _UNITS[match[2]] if match is not None else 0
    if size < LEAST_BYTES:
        raise usage_error(words, "record.bytes", text=clean(text, limit=100, fold=True))
    return size
