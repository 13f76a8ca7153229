"""The commands of ``monitor-server`` around access: the audit log, and nodes that join."""

from pathlib import Path
from typing import Annotated, Final

import typer

from runwatch_server.access.joining import LIFE_S, issue_join_token
from runwatch_server.access.joining import LONGEST_LIFE_S as LONGEST_JOIN_S
from runwatch_server.audit import file
from runwatch_server.audit.entries import ChainError, Entry, follow
from runwatch_server.fingerprints import served_fingerprints
from runwatch_server.operating import (
    Config,
    Database,
    DataDir,
    age_s,
    audited,
    reporting,
    say,
    settings_of,
    write,
)
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.clock import SystemClock
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings
from runwatch_shared.text import clean
from runwatch_shared.timestamps import parse_time

CELL_CHARS: Final = 200
NOT_WHOLE: Final = 1

audit_app = typer.Typer(no_args_is_help=True, help="Who changed what, and who was refused.")
node_app = typer.Typer(no_args_is_help=True, help="Nodes that join.")


@audit_app.command("list")
def audit_list(
    since: Annotated[str | None, typer.Option(help="No older than: 90s, 12h, 30d.")] = None,
    actor: Annotated[str | None, typer.Option(help="Of this user or token alone.")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Print this server's audit log, the oldest record first."""
    with reporting():
        settings = settings_of(data_dir, None, config)
        age = age_s(since, "--since")
        from_us = None if age is None else SystemClock().now_us() - age * 1_000_000
        for path, number, line in file.lines_of(Path(settings.data_dir)):
            try:
                _, entry = follow(None, line)
            except ChainError as error:
                raise SettingsError(f"{path.name}:{number}: {error}") from error
            if from_us is not None and parse_time(entry.at) < from_us:
                continue
            if (actor is not None and entry.actor != actor) or (refused and not entry.code):
                continue
            say(line.decode().rstrip("\n") if as_json else _told(entry))


@audit_app.command("verify")
def audit_verify(data_dir: DataDir = None, config: Config = None) -> None:
    """Say whether the audit log is whole: no record changed, removed or put in.

    What is missing at its very end shows only against a digest kept elsewhere: keep the one this
    prints. Exit status 1 where it is not whole.
    """
    with reporting():
        verdict = file.verify(Path(settings_of(data_dir, None, config).data_dir))
        if verdict.problem is not None:
            say(f"not whole  {verdict.problem}")
            raise typer.Exit(NOT_WHOLE)
        say(f"whole      {verdict.records} records from {verdict.first} on")
        say(f"digest     {verdict.head.hash} of record {verdict.head.n}")


@node_app.command("join-token")
def join_token(
    node: Annotated[
        str | None, typer.Option(help="Id of the node, to renew the token of one that is known.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Age at which it ends, 15m unless given; 24h at most.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The server's address as the node will reach it.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Make a token with which one machine joins as a node, once; prints the command to run there.

    The command holds the fingerprint of this server's authority: the machine talks to no other.
    """
    with reporting():
        life_s = LIFE_S if expires is None else age_s(expires) or 0
        if not 0 < life_s <= LONGEST_JOIN_S:
            raise SettingsError("--expires must be 24h at most")
        settings = settings_of(data_dir, database, config)

        def issue(tx: WriteTx) -> str:
            _, text = issue_join_token(
                tx, name="join", node_id=node, life_s=life_s, by_name="command line"
            )
            return text

        words = ["nodemanager join", url or _address(settings)]
        if (authority := _authority(settings)) is not None:
            words.append(f"--authority {authority}")
        if node is not None:
            words.append(f"--node-id {node}")
        say(f"{' '.join(words)} --token {write(settings, issue)}")
        audited(settings, "node join-token", target=node or "a new node")


def _address(settings: ServerSettings) -> str:
    scheme = "https" if settings.tls else "http"
    host = settings.host if settings.host not in {"", "0.0.0.0", "::"} else "SERVER"
    return f"{scheme}://{host}:{settings.port}"


def _authority(settings: ServerSettings) -> str | None:
    if not settings.tls:
        return None
    found = {kind: digest for kind, digest, _ in served_fingerprints(settings)}
    return found.get("ca")


def _told(entry: Entry) -> str:
    done = entry.code or "done"
    parts = [
        entry.at,
        clean(entry.actor or "-", limit=CELL_CHARS, fold=True),
        clean(entry.action, limit=CELL_CHARS, fold=True),
        clean(entry.made or entry.target or "-", limit=CELL_CHARS, fold=True),
        done,
        clean(entry.address or "-", limit=CELL_CHARS, fold=True),
    ]
    return "  ".join(parts) + (f"  ({entry.dropped} more refused)" if entry.dropped else "")
