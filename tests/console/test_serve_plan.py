"""Who may come in by `--serve`, and what is started for them."""

from pathlib import Path

import pytest

from runwatch_console.serve_plan import SHORTEST_TOKEN, ServePlan, same_origin, serve_plan
from runwatch_shared.errors import SettingsError

LONG = "a-token-of-my-own"


def plan(
    *,
    host: str = "127.0.0.1",
    allow_writes: bool = False,
    token_file: str = "",
    typed: dict[str, str | bool] | None = None,
    environment: dict[str, str] | None = None,
) -> ServePlan:
    return serve_plan(
        host=host,
        port=8090,
        allow_writes=allow_writes,
        token_file=token_file,
        typed=typed or {},
        environment=environment or {},
    )


def test_each_start_has_a_token_of_its_own() -> None:
    first, second = plan(), plan()
    assert first.token != second.token
    assert len(first.token) >= SHORTEST_TOKEN
    assert first.known_token(first.token)
    for wrong in (None, "", second.token, first.token[:-1], f"{first.token}x", "é"):
        assert not first.known_token(wrong)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "box.example", ""])
def test_beyond_this_machine_a_token_of_ones_own_is_needed(host: str) -> None:
    if host:
        with pytest.raises(SettingsError, match="RUNWATCH_SERVE_TOKEN"):
            plan(host=host)
        assert plan(host=host, environment={"RUNWATCH_SERVE_TOKEN": LONG}).token == LONG
    else:
        with pytest.raises(SettingsError):
            plan(host=host)


@pytest.mark.parametrize(
    "token", ["short", "with spaces in the token", "ctrl\x1b[31m-characters-x", ""]
)
def test_a_token_that_is_none_is_refused(token: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(token)
    with pytest.raises(SettingsError):
        plan(token_file=str(path))
    with pytest.raises(SettingsError):
        plan(token_file=str(tmp_path / "missing"))


def test_the_token_of_the_file_goes_before_that_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{LONG}\n")
    environment = {"RUNWATCH_SERVE_TOKEN": "another-token-of-mine"}
    assert plan(token_file=str(path), environment=environment).token == LONG


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8090", True),
        ("localhost:9000", True),
        ("[::1]:8090", True),
        ("LOCALHOST", True),
        ("evil.example:8090", False),
        ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_on_this_machine_only_its_names_are_served(host: str | None, known: bool) -> None:
    assert plan().known_host(host) is known


def test_beyond_this_machine_the_token_decides_alone() -> None:
    wide = plan(host="0.0.0.0", environment={"RUNWATCH_SERVE_TOKEN": LONG})
    assert wide.known_host("box.example:8090")


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8090", "localhost:8090", True),
        ("https://box.example", "box.example", True),
        ("http://localhost:3000", "localhost:8090", False),
        ("http://evil.example", "localhost:8090", False),
        ("null", "localhost:8090", False),
        ("file://localhost:8090", "localhost:8090", False),
        ("http://[", "localhost:8090", False),
        (None, "localhost:8090", False),
        ("http://localhost:8090", None, False),
    ],
)
def test_a_socket_is_opened_by_the_page_from_here_only(
    origin: str | None, host: str | None, same: bool
) -> None:
    assert same_origin(origin, host) is same


def test_the_console_is_started_with_what_was_typed_and_read_only() -> None:
    typed: dict[str, str | bool] = {
        "serve": True,
        "plain": True,
        "server": "https://x; touch pwned",
        "config": "c.toml",
        "mouse": False,
    }
    command = plan(typed=typed).command
    assert command[1:] == (
        "-m",
        "runwatch_console.cli",
        "--server=https://x; touch pwned",
        "--no-mouse",
        "--config=c.toml",
        "--read-only",
    )


def test_writing_is_allowed_on_request_only_and_never_against_read_only() -> None:
    assert "--read-only" not in plan(allow_writes=True).command
    assert plan(allow_writes=True, typed={"read_only": True}).command.count("--read-only") == 1
    assert plan(typed={"read_only": True}).command.count("--read-only") == 1
