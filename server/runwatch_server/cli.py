"""The command ``monitor-server``: settings from flags, file and environment; joins the parts.

Exit codes follow sysexits: 64 usage, 69 unavailable, 74 input or output, 78 configuration.
"""

import sys
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import typer
import uvloop
from prometheus_client import disable_created_metrics

from runwatch_server import addresses, pruning, serving
from runwatch_server import alive as asking
from runwatch_server.access import issuing
from runwatch_server.alerts.target import target_of
from runwatch_server.alerts.trying import try_once
from runwatch_server.auditing import audit_app, node_app
from runwatch_server.configuring import config_app
from runwatch_server.fingerprints import served_fingerprints
from runwatch_server.keeping import keeping_app
from runwatch_server.operating import (
    Config,
    Database,
    DataDir,
    age_s,
    asked_password_hash,
    audited,
    confirm,
    file_of,
    integrity_of,
    mend,
    open_beside,
    opened,
    receiver_of,
    reporting,
    say,
    scope_of,
    settings_of,
    token_line,
    user_of,
    write,
)
from runwatch_server.setting_checks import findings_of, refuse_unusable
from runwatch_server.storage import inspecting, migrating
from runwatch_server.storage.protocols import WriteTx
from runwatch_server.version import VERSION
from runwatch_shared.clock import SystemClock
from runwatch_shared.diagnosing import dump_on_quit
from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import load_settings
from runwatch_shared.logs import configure_logging
from runwatch_shared.notify import Notifier
from runwatch_shared.settings import ServerSettings
from runwatch_shared.text import clean
from runwatch_shared.usage.manual import manual_page
from runwatch_shared.usage.reading import read_tree
from runwatch_shared.usage.shells import Shell, completion_script

T = TypeVar("T")

OK: Final = 200

MANUAL: Final = (
    (
        "Exit status",
        "0 done; 1 not whole; 64 usage; 69 unavailable; 74 input or output; 78 configuration.",
    ),
    ("Files", "$XDG_CONFIG_HOME/runwatch/runwatch.toml: settings, table [server]."),
    ("See also", "monitor-tui(1), nodemanager(1)"),
)
"""Of the manual page, beside what the commands take."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # "[server]" in a help text is a table of the file, not markup
    help="The Runwatch server: keeps tasks, runs and events, and shows them live.",
)
token_app = typer.Typer(no_args_is_help=True, help="API tokens.")
user_app = typer.Typer(no_args_is_help=True, help="Users who log in with a password.")
db_app = typer.Typer(no_args_is_help=True, help="Look into the database; nothing is changed.")
app.add_typer(token_app, name="token")
app.add_typer(user_app, name="user")
app.add_typer(db_app, name="db")
app.add_typer(audit_app, name="audit")
app.add_typer(node_app, name="node")
app.add_typer(config_app, name="config")
app.add_typer(keeping_app)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    tls: Annotated[bool | None, typer.Option("--tls/--no-tls", help="HTTPS or HTTP.")] = None,
    tls_cert: Annotated[str | None, typer.Option(help="Certificate to use, PEM.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its key, PEM.")] = None,
    auth: Annotated[str | None, typer.Option(help="local or on.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    ready_file: Annotated[
        str | None, typer.Option(help="File to write the address to when it is ready.")
    ] = None,
    config: Config = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; SIGHUP reads settings and certificates anew.

    Flags win over RUNWATCH_… variables, those over the file, that over the defaults.
    """
    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "database": database,
        "tls": tls,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "auth": auth,
        "log_format": log_format,
        "log_level": log_level,
        "ready_file": ready_file,
    }
    with reporting():
        notifier = Notifier.taken()
        read = partial(load_settings, ServerSettings, "server", config=config, flags=flags)
        settings = read()
        refuse_unusable(settings)
        configure_logging(settings.log_format, settings.log_level)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        dump_on_quit()
        uvloop.run(serving.serve(settings, SystemClock(), reread=read, notifier=notifier))


@app.command()
def check(data_dir: DataDir = None, database: Database = None, config: Config = None) -> None:
    """Check settings and database without serving; says what it found, or what to mend."""
    with reporting():
        settings = settings_of(data_dir, database, config)
        mend(findings_of(settings))
        mode = addresses.access_mode(settings)
        with open_beside(settings) as store, store.read() as tx:
            say(f"settings   ok, {settings.host}:{settings.port}, auth {mode}")
            say(f"database   {integrity_of(settings)}")
            say(f"store      {store.store_id}, revision {tx.revision()}")
            say(f"nodes      {len(tx.nodes.all())}")
            say(f"alerts     {len(tx.pending_alerts())} waiting, {receiver_of(settings)}")


@app.command()
def alive(
    ready: Annotated[
        bool, typer.Option("--ready", help="Whether it takes requests, not only whether it lives.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Ask the server of this data directory whether it works; exit status 69 where it does not."""
    with reporting():
        path = "/readyz" if ready else "/livez"
        status = asking.ask(settings_of(data_dir, None, config), path)
        if status != OK:
            raise OSError(f"{path} answers {status}")
        say(f"{path} answers {status}")


@app.command()
def migrate(
    status: Annotated[
        bool, typer.Option("--status", help="Only say what is applied and what is missing.")
    ] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="Say nothing; exit with 1 where something is missing.")
    ] = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Bring the database's schema to what this build serves; forward only.

    SQLite is brought there by every start too, PostgreSQL only by this.
    """
    with reporting():
        url = addresses.database_url(settings_of(data_dir, database, config))
        if not (status or only_check):
            for name in migrating.migrate(url):
                say(f"applied    {name}")
        standing = migrating.standing_of(url)
        if only_check:
            raise typer.Exit(1 if standing.missing else 0)
        for name in standing.applied if status else ():
            say(f"applied    {name}")
        for name in standing.missing:
            say(f"missing    {name}")
        if not standing.missing:
            say(f"current    {len(standing.applied)} steps")


@app.command("alert-test")
def alert_test(data_dir: DataDir = None, config: Config = None) -> None:
    """Send one signed test alert to the receiver that is set, and say what it answered."""
    with reporting():
        target = target_of(settings_of(data_dir, None, config))
        if target is None:
            raise SettingsError("webhook_url is not set")
        answer = uvloop.run(try_once(target, SystemClock()))
        if answer.result != "delivered":
            raise OSError(f"the alert was not delivered to {target.host}: {answer.reason}")
        say(f"delivered to {target.host}: {answer.reason}")


@app.command()
def prune(
    older_than: Annotated[
        str | None, typer.Option(help="Events of runs that ended longer ago: 12h, 30d.")
    ] = None,
    max_events: Annotated[int | None, typer.Option(min=0, help="Events to keep.")] = None,
    max_bytes: Annotated[
        str | None, typer.Option(help="Size to bring the database to: 500MB, 10GB.")
    ] = None,
    runs: Annotated[
        bool, typer.Option("--runs", help="Remove the runs of that age too, not only their events.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give free pages back to the disk; no server may run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Remove old events, those of the runs that ended first; what the settings say without flags.

    A running server is asked to do it; summaries, usage and steps of runs stay unless --runs.
    """
    with reporting():
        settings = settings_of(data_dir, database, config)
        bounds = pruning.bounds_of(
            settings.retention,
            SystemClock().now_us(),
            age_s=age_s(older_than, "--older-than"),
            max_events=max_events,
            max_bytes=None if max_bytes is None else pruning.bytes_of(max_bytes),
            runs=runs,
        )
        if vacuum and not addresses.database_url(settings).startswith("sqlite:"):
            raise SettingsError("--vacuum is for SQLite; PostgreSQL does that by itself")
        with open_beside(settings) as store:
            outcome = pruning.planned(store, bounds)
        if not dry_run and (outcome.events or outcome.runs):
            if not yes:
                confirm(pruning.words_of(outcome))
            outcome = pruning.prune(partial(opened, settings), SystemClock(), bounds, outcome)
            audited(settings, "prune", target=pruning.words_of(outcome))
        if vacuum and not dry_run:
            outcome = pruning.vacuumed(partial(opened, settings), file_of(settings), outcome)
        say(pruning.json_of(outcome) if as_json else pruning.words_of(outcome))


@app.command()
def completion(
    ctx: typer.Context, shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]
) -> None:
    """Print the completion script of a shell."""
    tree = read_tree(ctx.find_root().command, name="monitor-server")
    sys.stdout.write(completion_script(tree, shell))


@app.command()
def man(ctx: typer.Context) -> None:
    """Print the manual page; read it with: monitor-server man | man -l -"""
    tree = read_tree(ctx.find_root().command, name="monitor-server")
    sys.stdout.write(manual_page(tree, version=VERSION, sections=MANUAL))


@app.command()
def fingerprint(
    tls_cert: Annotated[str | None, typer.Option(help="Certificate that is served, PEM.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Print the fingerprints of the certificate and of its authority, to compare in a console.

    A console that asks whether to trust this server shows one of them, the authority's if it can.
    """
    with reporting():
        flags = {"data_dir": data_dir, "tls_cert": tls_cert}
        settings = load_settings(ServerSettings, "server", config=config, flags=flags)
        for kind, digest, path in served_fingerprints(settings):
            say(f"{kind:<4}  {digest}  {path}")


@app.command()
def version() -> None:
    """Print the version."""
    say(f"monitor-server {VERSION}")


@token_app.command("create")
def token_create(
    scope: Annotated[str, typer.Option(help="viewer, operator, admin or node.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    node: Annotated[str | None, typer.Option(help="Node id a node token is bound to.")] = None,
    expires: Annotated[str | None, typer.Option(help="Age at which it ends: 12h, 30d.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Make an API token and print it, once."""
    with reporting():
        wanted = scope_of(scope)
        life_s = age_s(expires)
        settings = settings_of(data_dir, database, config)

        def issue(tx: WriteTx) -> str:
            _, text = issuing.issue_token(
                tx, name=name, scope=wanted, node_id=node, life_s=life_s, by_name="command line"
            )
            return text

        text = write(settings, issue)
        say(text)
        audited(settings, "token create", target=name)


@token_app.command("list")
def token_list(data_dir: DataDir = None, database: Database = None, config: Config = None) -> None:
    """List API tokens, newest first."""
    with (
        reporting(),
        open_beside(settings_of(data_dir, database, config)) as store,
        store.read() as tx,
    ):
        for row in sorted(tx.access.tokens(), key=lambda row: -row.created_us):
            say(token_line(row))


@token_app.command("revoke")
def token_revoke(
    token_id: str, data_dir: DataDir = None, database: Database = None, config: Config = None
) -> None:
    """End an API token; its open sockets close within seconds."""
    with reporting():
        settings = settings_of(data_dir, database, config)
        if not write(settings, lambda tx: issuing.revoke_token(tx, token_id)):
            raise SettingsError(f"there is no living token {clean(token_id, limit=40)}")
        audited(settings, "token revoke", target=token_id)


@user_app.command("create")
def user_create(
    email: str,
    scope: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "operator",
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Create a user; asks for the password, or reads it from standard input."""
    with reporting():
        wanted = scope_of(scope)
        if wanted == "node":
            raise SettingsError("--scope: a user is viewer, operator or admin")
        password_hash = asked_password_hash()
        settings = settings_of(data_dir, database, config)
        write(
            settings,
            lambda tx: issuing.create_user(
                tx, email=email, scope=wanted, password_hash=password_hash
            ),
        )
        audited(settings, "user create", target=email)


@user_app.command("disable")
def user_disable(
    email: str, data_dir: DataDir = None, database: Database = None, config: Config = None
) -> None:
    """Let a user in no more; all sessions end."""
    with reporting():
        settings = settings_of(data_dir, database, config)
        write(settings, lambda tx: issuing.disable_user(tx, user_of(tx, email)))
        audited(settings, "user disable", target=email)


@user_app.command("password")
def user_password(
    email: str, data_dir: DataDir = None, database: Database = None, config: Config = None
) -> None:
    """Set a user's password; all sessions end."""
    with reporting():
        password_hash = asked_password_hash()
        settings = settings_of(data_dir, database, config)
        write(settings, lambda tx: issuing.set_password(tx, user_of(tx, email), password_hash))
        audited(settings, "user password", target=email)


@db_app.command("tables")
def db_tables(data_dir: DataDir = None, database: Database = None, config: Config = None) -> None:
    """Each table with its rows."""
    with reporting():
        for name, rows in inspecting.tables(file_of(settings_of(data_dir, database, config))):
            say(f"{rows:>12,}  {name}")


@db_app.command("export")
def db_export(
    table: str,
    limit: Annotated[int, typer.Option(help="Most rows; 0 for all.")] = 0,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Print a table's rows as JSON, one a line."""
    with reporting():
        file = file_of(settings_of(data_dir, database, config))
        for line in inspecting.export(file, table, limit=limit):
            say(line)


@db_app.command("search")
def db_search(
    text: str,
    limit: Annotated[int, typer.Option(help="Most rows.")] = 50,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Print the events whose payload holds a text, as JSON, one a line."""
    with reporting():
        file = file_of(settings_of(data_dir, database, config))
        for line in inspecting.search(file, text, limit=limit):
            say(line)


def main() -> None:
    """The command's entry."""
    app()
