from pathlib import Path

import pytest

from runwatch_console.contexts import is_loopback, parse_url, resolve_context
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ConsoleSettings


def settings(data_dir: Path, **values: object) -> ConsoleSettings:
    return ConsoleSettings(data_dir=str(data_dir), **values)  # type: ignore[arg-type]  # by name


def test_on_loopback_the_local_server_its_token_and_authority_are_found(tmp_path: Path) -> None:
    (tmp_path / "server.url").write_text("https://127.0.0.1:9443\n")
    (tmp_path / "token").write_text("runwatch_admin_x\n")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("pem")
    context = resolve_context(settings(tmp_path), {})
    access = context.access()
    assert access.url == "https://127.0.0.1:9443"
    assert access.token == "runwatch_admin_x"
    assert access.ca_file == tmp_path / "tls" / "ca.pem"
    assert context.target().context == "local"


def test_without_any_file_the_default_address_is_used_without_a_credential(tmp_path: Path) -> None:
    context = resolve_context(settings(tmp_path), {})
    access = context.access()
    assert (access.url, access.token, access.ca_file) == ("https://127.0.0.1:8080", None, None)
    assert context.target().credential == "none"


def test_the_local_administrators_token_never_goes_to_another_machine(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("runwatch_admin_x")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("pem")
    access = resolve_context(settings(tmp_path, server="https://ops.example:8080"), {}).access()
    assert access.token is None
    assert access.ca_file is None


@pytest.mark.parametrize("text", ["", "\x00\x01", "two\nlines", "é", "a" * 5000])
def test_a_damaged_address_file_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.url").write_text(text)
    assert resolve_context(settings(tmp_path), {}).access().url == "https://127.0.0.1:8080"


def test_the_secret_is_not_in_what_the_screen_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("runwatch_admin_hunter2")
    by_file = resolve_context(settings(tmp_path), {}).target()
    by_environment = resolve_context(settings(tmp_path, token="hunter2"), {}).target()
    assert "hunter2" not in f"{by_file}{by_environment}"
    assert by_environment.credential == "RUNWATCH_TOKEN"


def test_a_token_file_typed_goes_before_a_token_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("from-file")
    given = settings(tmp_path, token="from-environment", token_file=str(path))
    assert resolve_context(given, {"token_file": str(path)}).access().token == "from-file"
    assert resolve_context(given, {}).access().token == "from-environment"


def test_a_token_others_can_read_or_that_goes_unencrypted_is_said(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("x")
    path.chmod(0o644)
    assert [word for word, _ in resolve_context(settings(tmp_path), {}).exposures()] == [
        "headless.token_readable"
    ]
    path.chmod(0o600)
    assert resolve_context(settings(tmp_path), {}).exposures() == ()
    abroad = settings(tmp_path, server="http://ops.example", token="x")
    assert [word for word, _ in resolve_context(abroad, {}).exposures()] == [
        "headless.token_in_clear"
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"token_file": "missing"},
        {"ca": "missing.pem"},
        {"server": "ftp://x"},
        {"server": "https://user:pw@x"},
        {"server": "https://x/?token=1"},
        {"server": "https://"},
        {"server": "https://x:99999"},
        {"server": "https://x\x1b[31m"},
        {"token": "line\nline"},
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, values: dict[str, str]
) -> None:
    with pytest.raises(SettingsError):
        resolve_context(settings(tmp_path, **values), {})


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("box:8080", "https://box:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://ops.example/runwatch/", "https://ops.example/runwatch"),
        (" 10.0.0.5 ", "https://10.0.0.5"),
    ],
)
def test_an_address_may_be_typed_short(typed: str, url: str) -> None:
    assert parse_url(typed) == url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
