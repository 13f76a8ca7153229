"""What the commands of ``monitor-server`` share: options, settings, the store beside a server that
may run, errors on one line, ages and scopes as people write them.

Exit codes follow sysexits: 64 usage, 69 unavailable, 74 input or output, 78 configuration.
"""

import os
import pwd
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from runwatch_server import addresses
from runwatch_server.access.passwords import Passwords, check_password
from runwatch_server.alerts.target import kinds_of, target_of
from runwatch_server.audit import file as audit_file
from runwatch_server.audit.entries import Entry
from runwatch_server.first_start import write_now
from runwatch_server.lifespan import rules_of
from runwatch_server.pace import FILE as CLOCK_FILE
from runwatch_server.rows import TokenRow, UserRow
from runwatch_server.steady_clock import ClockNote, SteadyClock, boot_id
from runwatch_server.storage import inspecting, migrating
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_server.storage.sharing import Shared
from runwatch_shared.clock import Clock, SystemClock
from runwatch_shared.errors import RefusedError, SettingsError, StoreError, StoreLockedError
from runwatch_shared.findings import Finding
from runwatch_shared.layers import load_settings
from runwatch_shared.models import Scope
from runwatch_shared.settings import ServerSettings
from runwatch_shared.text import clean
from runwatch_shared.timestamps import format_optional_time, format_time

T = TypeVar("T")

Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="RUNWATCH_CONFIG", help="TOML file, table [server]."),
]
DataDir = Annotated[
    str | None, typer.Option("--data-dir", help="Where the server's files are; RUNWATCH_DATA_DIR.")
]
Database = Annotated[
    str | None, typer.Option("--database", help="URL of the database; RUNWATCH_DATABASE_URL.")
]

EXIT_USAGE: Final = 64
EXIT_UNAVAILABLE: Final = 69
EXIT_IO: Final = 74
EXIT_CONFIG: Final = 78
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@contextmanager
def reporting() -> Iterator[None]:
    """What failed on one line of standard error, with the exit code of its kind."""
    try:
        yield
    except StoreLockedError as error:
        _fail(EXIT_CONFIG, error)
    except SettingsError as error:
        _fail(EXIT_CONFIG, error)
    except RefusedError as error:
        _fail(EXIT_USAGE, error)
    except StoreError as error:
        _fail(EXIT_IO, error)
    except OSError as error:
        _fail(EXIT_UNAVAILABLE, error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(code: int, error: Exception) -> None:
    typer.echo(f"monitor-server: {clean(str(error), limit=2000, fold=True)}", err=True)
    raise typer.Exit(code) from error


def mend(findings: Sequence[Finding]) -> None:
    """Say on standard error what there is to mend, a line each, and end with 78."""
    for finding in findings:
        typer.echo(f"monitor-server: {clean(str(finding), limit=2000, fold=True)}", err=True)
    if findings:
        raise typer.Exit(EXIT_CONFIG)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def settings_of(data_dir: str | None, database: str | None, config: Path | None) -> ServerSettings:
    flags = {"data_dir": data_dir, "database": database}
    return load_settings(ServerSettings, "server", config=config, flags=flags)


@contextmanager
def open_beside(settings: ServerSettings) -> Iterator[Store]:
    """The store, beside a server that may be running."""
    if not settings.database and not (Path(settings.data_dir) / "runwatch.db").exists():
        raise SettingsError(f"there is no database in {settings.data_dir}; start the server once")
    store = opened(settings, sole=False)
    try:
        yield store
    finally:
        store.close()


def opened(settings: ServerSettings, sole: bool) -> Store:
    return open_store(
        addresses.database_url(settings),
        rules=rules_of(settings),
        synchronous=settings.synchronous,
        sole=sole,
    )


def confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise SettingsError("there is nobody to ask: add --yes, or --dry-run to only look")
    typer.echo(what, err=True)
    if not typer.confirm("Remove it?", err=True):
        raise typer.Exit(1)


def write(settings: ServerSettings, work: Callable[[WriteTx], T]) -> T:
    with open_beside(settings) as store:
        return write_now(store, clock_of(settings, store), work)


def clock_of(settings: ServerSettings, store: Store) -> Clock:
    """The time that servers on this store go by, so that what a command makes lives as long as it
    says, whatever was done to the machine's clock.

    Raises:
        StoreError: The database cannot be asked.
    """
    if isinstance(store, Shared):
        return SteadyClock(store.clock_us())
    note = ClockNote(Path(settings.data_dir) / CLOCK_FILE, boot=boot_id())
    return SteadyClock(note.begin(SystemClock()))


def audited(settings: ServerSettings, action: str, *, target: str = "") -> None:
    """Leave in the audit log what a command changed.

    Raises:
        OSError: It cannot be written; what was changed stays changed.
    """
    entry = Entry(
        at=format_time(SystemClock().now_us()),
        actor=_login_name(),
        kind="command",
        action=action,
        target=target,
    )
    folder = Path(settings.data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        audit_file.append(folder, [entry])
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(f"{action}: done, but the audit log in {folder} took no record: {why}") from (
            error
        )


def _login_name() -> str:
    """Who runs this program; who called sudo where that was done."""
    name = os.environ.get("SUDO_USER", "")
    try:
        own = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        own = str(os.getuid())
    return f"{own} (sudo by {name})" if name else own


def file_of(settings: ServerSettings) -> Path:
    return inspecting.database_file(addresses.database_url(settings))


def integrity_of(settings: ServerSettings) -> str:
    """What SQLite says of its file; the others look after themselves."""
    url = addresses.database_url(settings)
    if url.startswith("sqlite:"):
        return inspecting.integrity(file_of(settings))
    if migrating.is_without_schema(url):
        return "ok, it has no schema"
    return f"ok, {len(migrating.standing_of(url).applied)} steps of its schema"


def receiver_of(settings: ServerSettings) -> str:
    target = target_of(settings)
    if target is None:
        return "no receiver"
    return f"to {target.host}: {', '.join(sorted(kinds_of(settings)))}"


def scope_of(text: str) -> Scope:
    scopes: dict[str, Scope] = {
        "viewer": "viewer",
        "operator": "operator",
        "admin": "admin",
        "node": "node",
    }
    if text not in scopes:
        raise SettingsError("--scope must be viewer, operator, admin or node")
    return scopes[text]


def age_s(text: str | None, flag: str = "--expires") -> int | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in SECONDS or not 0 < int(number) < 10**6:
        raise SettingsError(f"{flag} must be an age such as 90s, 15m, 12h or 30d")
    return int(number) * SECONDS[unit]


def user_of(tx: WriteTx, email: str) -> UserRow:
    row = tx.access.user_by_email(email.strip().lower())
    if row is None:
        raise SettingsError(f"there is no user {clean(email, limit=200)}")
    return row


def asked_password_hash() -> str:
    if sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    check_password(password, "password")
    passwords = Passwords()
    try:
        return passwords.hash_now(password)
    finally:
        passwords.close()


def token_line(row: TokenRow) -> str:
    state = "revoked" if row.revoked_us is not None else "living"
    ends = format_optional_time(row.expires_us) or "never"
    node = f" node={row.node_id}" if row.node_id else ""
    word = "join" if row.joins else row.scope
    return (
        f"{row.id}  {word:<8}  {state:<7}  made {format_time(row.created_us)}  "
        f"ends {ends}  {row.name}{node}"
    )
