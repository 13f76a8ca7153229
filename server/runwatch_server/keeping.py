"""The commands of ``monitor-server`` that keep, move and verify a store; what they do is
`storage.keeping`.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from runwatch_server import addresses
from runwatch_server.operating import (
    Config,
    Database,
    DataDir,
    audited,
    reporting,
    say,
    settings_of,
)
from runwatch_server.storage.keeping import moving
from runwatch_server.storage.keeping.moving import Verified
from runwatch_shared.clock import SystemClock
from runwatch_shared.text import clean

SENTENCE_CHARS: Final = 500

keeping_app = typer.Typer()

WithoutAccess = Annotated[
    bool,
    typer.Option(
        "--without-access", help="Leave out users, sessions, tokens and answers to repeated calls."
    ),
]


@keeping_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there.")],
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Back the database up beside a running server, and verify the backup.

    A SQLite database becomes a SQLite file with its checksum beside it, one of PostgreSQL or
    MongoDB a file as export writes it. It holds prompts and hashes of secrets: keep it as the
    database itself.
    """
    with reporting():
        url = addresses.database_url(settings_of(data_dir, database, config))
        verified = moving.back_up(url, file, made_us=SystemClock().now_us())
        say(f"backed up  {file}")
        tell(verified)


@keeping_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What backup or export wrote.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put a SQLite database that is there aside; it is kept."),
    ] = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Bring a database to what a backup has, and verify it; no server may run."""
    with reporting():
        settings = settings_of(data_dir, database, config)
        url = addresses.database_url(settings)
        done = moving.restore(file, url, now_us=SystemClock().now_us(), replace=replace)
        say(f"restored   {file}")
        if not done.checked:
            say(f"unchecked  there is no checksum beside {file}; SQLite finds its structure sound")
        if done.former is not None:
            say(f"kept       {done.former}: the database that was there")
        audited(settings, "restore", target=str(file))
        tell(done.verified)


@keeping_app.command("export")
def export_store(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there.")],
    without_access: WithoutAccess = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Write the whole store to a file that any other store can import, beside a running server."""
    with reporting():
        url = addresses.database_url(settings_of(data_dir, database, config))
        counts = moving.export(url, file, made_us=SystemClock().now_us(), access=not without_access)
        say(f"exported   {words_of(counts)}")


@keeping_app.command("import")
def import_store(
    file: Annotated[Path, typer.Argument(help="What export wrote.")],
    without_access: WithoutAccess = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Fill an empty store from an exported file, and verify it; no server may run on it."""
    with reporting():
        settings = settings_of(data_dir, database, config)
        url = addresses.database_url(settings)
        counts = moving.take_in(file, url, now_us=SystemClock().now_us(), access=not without_access)
        say(f"imported   {words_of(counts)}")
        audited(settings, "import", target=str(file))
        tell(moving.verify(url))


@keeping_app.command()
def verify(data_dir: DataDir = None, database: Database = None, config: Config = None) -> None:
    """Say whether what is stored agrees with itself, beside a running server; exit 1 if not.

    Every run dense, counters equal to a recount, usage, calls and steps equal to what the events of
    a run come to where it has them all.
    """
    with reporting():
        url = addresses.database_url(settings_of(data_dir, database, config))
        tell(moving.verify(url))


def tell(verified: Verified) -> None:
    """What was verified; exit 1 where something is wrong."""
    for sentence in verified.wrong:
        say(f"wrong      {clean(sentence, limit=SENTENCE_CHARS, fold=True)}")
    looked_at = f"{verified.runs:,} runs, {verified.events:,} events"
    if not verified.wrong:
        say(f"verified   {looked_at}, {verified.refolded:,} runs folded anew")
        return
    more = " or more" if len(verified.wrong) == moving.MOST_WRONG else ""
    say(f"not whole  {len(verified.wrong)}{more} things are wrong in {looked_at}")
    raise typer.Exit(1)


def words_of(counts: dict[str, int]) -> str:
    named = (("run", "runs"), ("event", "events"), ("task", "tasks"), ("node", "nodes"))
    return ", ".join(f"{counts.get(kind, 0):,} {words}" for kind, words in named)
