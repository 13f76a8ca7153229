"""The command ``monitor-server`` beside the server: tokens, users, checks, the database."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from runwatch_server import cli, operating
from runwatch_server.access.passwords import Passwords
from runwatch_server.first_start import ensure_tokens, write_now
from runwatch_server.lifespan import rules_of
from runwatch_server.steady_clock import ClockNote, SteadyClock, boot_id
from runwatch_server.storage.open import open_store
from runwatch_server.tasks import create_task
from runwatch_shared.clock import SystemClock
from runwatch_shared.settings import ServerSettings
from runwatch_shared.timestamps import parse_time
from runwatch_shared.wire import TaskRequest
from tests.server.http.house import CHEAP

RUNNER = CliRunner()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a first start leaves, and a running server that holds the database."""
    for name in ("RUNWATCH_DATA_DIR", "RUNWATCH_DATABASE_URL", "RUNWATCH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(operating, "Passwords", lambda: Passwords(CHEAP))
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    settings = ServerSettings(data_dir=str(directory))
    store = open_store(
        f"sqlite:///{directory / 'runwatch.db'}", rules=rules_of(settings), synchronous="normal"
    )
    clock = SystemClock()
    ensure_tokens(store, clock, directory)
    request = TaskRequest(name="first", prompt="a needle in here")
    write_now(store, clock, lambda tx: create_task(tx, request, by_name="t", settings=settings))
    yield directory
    store.close()


def command(data_dir: Path, *words: str, text: str | None = None) -> Result:
    return RUNNER.invoke(cli.app, [*words, "--data-dir", str(data_dir)], input=text)


def test_the_first_start_leaves_private_tokens_once(data_dir: Path) -> None:
    for name, scope in (("token", "admin"), ("node-token", "node")):
        file = data_dir / name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().startswith(f"runwatch_{scope}_")
    store = open_store(
        f"sqlite:///{data_dir / 'runwatch.db'}",
        rules=rules_of(ServerSettings()),
        synchronous="normal",
        sole=False,
    )
    before = (data_dir / "token").read_text()
    assert ensure_tokens(store, SystemClock(), data_dir) == []
    assert (data_dir / "token").read_text() == before
    (data_dir / "token").write_text("of another store\n")
    assert ensure_tokens(store, SystemClock(), data_dir) == ["token"]
    store.close()


def test_tokens_are_made_listed_and_revoked_beside_a_running_server(data_dir: Path) -> None:
    made = command(data_dir, "token", "create", "--scope", "viewer", "--name", "wall")
    assert made.exit_code == 0
    text = made.stdout.strip()
    assert text.startswith("runwatch_viewer_")
    token_id = text.split("_")[2]
    listed = command(data_dir, "token", "list").stdout
    assert token_id in listed
    assert text not in listed
    assert command(data_dir, "token", "revoke", token_id).exit_code == 0
    assert command(data_dir, "token", "revoke", token_id).exit_code != 0


@pytest.mark.parametrize(
    "words",
    [
        ("token", "create", "--scope", "root", "--name", "x"),
        ("token", "create", "--scope", "viewer", "--name", "x", "--expires", "soon"),
        ("token", "create", "--scope", "viewer", "--name", ""),
        ("token", "create", "--scope", "viewer", "--name", "x", "--node", "n1"),
        ("token", "revoke", "00000000"),
        ("user", "disable", "nobody@example.org"),
        ("serve", "--auth", "local", "--host", "0.0.0.0"),
        ("serve", "--auth", "sometimes"),
        ("serve", "--database", "oracle://x"),
        ("serve", "--config", "/no/such/file.toml"),
        ("serve", "--tls-cert", "only-one.pem"),
    ],
)
def test_what_cannot_be_done_is_one_line_on_standard_error(
    data_dir: Path, words: tuple[str, ...]
) -> None:
    result = command(data_dir, *words)
    assert result.exit_code in {64, 69, 74, 78}
    assert result.stderr.startswith("monitor-server: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_users_are_made_given_a_password_and_disabled(data_dir: Path) -> None:
    email = "ops@example.org"
    made = command(data_dir, "user", "create", email, text="long enough\n")
    assert made.exit_code == 0
    again = command(data_dir, "user", "create", email, text="long enough\n")
    assert again.exit_code == 64
    assert "exists" in again.stderr
    assert command(data_dir, "user", "password", email, text="short\n").exit_code == 64
    assert command(data_dir, "user", "password", email, text="another one\n").exit_code == 0
    assert command(data_dir, "user", "disable", email).exit_code == 0


def test_the_database_can_be_looked_into_but_not_for_credentials(data_dir: Path) -> None:
    assert "tasks" in command(data_dir, "db", "tables").stdout
    rows = command(data_dir, "db", "export", "tasks").stdout.splitlines()
    assert "first" in rows[0]
    assert json.loads(rows[0])
    for table in ("tokens", "users", "no_such_table"):
        result = command(data_dir, "db", "export", table)
        assert "secret" not in result.stdout
        assert "argon2" not in result.stdout
    assert command(data_dir, "db", "export", "no_such_table").exit_code != 0


def test_check_says_what_the_server_would_start_with(data_dir: Path) -> None:
    result = command(data_dir, "check")
    assert result.exit_code == 0
    assert "auth local" in result.stdout


def test_help_names_every_flag_others_may_rely_on() -> None:
    text = RUNNER.invoke(cli.app, ["serve", "--help"], terminal_width=200).stdout
    for flag in (
        "--host",
        "--port",
        "--data-dir",
        "--database",
        "--tls",
        "--no-tls",
        "--log-format",
        "--config",
        "--ready-file",
        "--auth",
    ):
        assert flag in text


@pytest.mark.parametrize(
    "words",
    [("token", "create", "--scope", "viewer", "--name", "wall"), ("node", "join-token")],
)
def test_what_was_made_is_printed_also_where_the_audit_log_takes_nothing(
    data_dir: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWATCH_TLS", "false")
    (data_dir / "audit.log").mkdir()
    said = command(data_dir, *words)
    assert said.exit_code == 69
    assert "runwatch_" in said.stdout
    assert "done, but the audit log in" in said.stderr


def test_a_token_for_joining_is_not_made_where_its_command_cannot_be_printed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNWATCH_TLS", raising=False)
    assert command(data_dir, "node", "join-token").exit_code == 78
    assert "join" not in command(data_dir, "token", "list").stdout


def test_what_a_command_makes_lives_by_the_time_of_the_server(data_dir: Path) -> None:
    """The server goes on with a time that is a day ahead of a clock that was set back."""
    ahead = SteadyClock(SystemClock().now_us() + 86_400_000_000)
    ClockNote(data_dir / "clock.json", boot=boot_id()).write(ahead)
    made = command(data_dir, "token", "create", "--scope", "viewer", "--name", "x", "--expires=15m")
    assert made.exit_code == 0, made.stderr
    line = next(
        line for line in command(data_dir, "token", "list").stdout.splitlines() if "  x" in line
    )
    ends = parse_time(line.partition("ends ")[2].split()[0])
    assert ends > ahead.now_us()
