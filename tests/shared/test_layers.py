"""Which layer of settings wins, that each knows its origin, and that secrets stay covered."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import SECRETS, load, load_settings
from runwatch_shared.setting_lines import KINDS, setting_lines, shown_settings, unknown_variables
from runwatch_shared.settings import ConsoleSettings, NodeSettings, ServerSettings

FILES = ("etc/runwatch.toml", "own/config.toml", "etc/runwatch.d/10.toml", "own/runwatch.d/05.toml")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "port": st.integers(0, 65535),
    "host": st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    "tls": st.booleans(),
    "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
    "allowed_hosts": st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), min_size=1, max_size=3),
    "jwt_secret": st.from_regex(r"[a-z]{4}", fullmatch=True),
    "limits.page_rows": st.integers(1, 99),
    "limits.sockets": st.integers(1, 99),
}
SOURCES = (*FILES, "credential", "environment", "environment file", "flag")


class World:
    """A machine with settings in every place they can be in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "RUNWATCH_SYSTEM_CONFIG": str(folder / "etc"),
            "XDG_CONFIG_HOME": str(folder / "xdg"),
            "XDG_DATA_HOME": str(folder / "data"),
            "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
        }
        self.flags: dict[str, Any] = {}
        (folder / "credentials").mkdir()
        (folder / "xdg").mkdir()
        (folder / "xdg/runwatch").symlink_to(folder / "own", target_is_directory=True)
        for name in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)

    def say(self, source: str, values: Mapping[str, Any]) -> dict[str, str]:
        """Have a source say values; the origin of each that it can say."""
        if source in FILES:
            where = self.folder / source
            if source.startswith("own/"):
                where = self.folder / "xdg/runwatch" / source.removeprefix("own/")
            where.write_text(toml(values))
            return dict.fromkeys(values, str(where))
        if source == "credential":
            chosen = {name: value for name, value in values.items() if name in SECRETS}
            for name, value in chosen.items():
                (self.folder / f"credentials/runwatch.{name}").write_text(f"{value}\n")
            return {name: f"credential runwatch.{name}" for name in chosen}
        chosen = {name: value for name, value in values.items() if "." not in name}
        if source == "flag":
            self.flags |= chosen
            return {name: f"--{name.replace('_', '-')}" for name in chosen}
        origins = {}
        for name, value in chosen.items():
            variable = f"RUNWATCH_{name.upper()}"
            text = ",".join(value) if isinstance(value, list) else str(value).lower()
            if source == "environment":
                if f"{variable}_FILE" not in self.environment:
                    self.environment[variable] = text
                    origins[name] = variable
            elif variable not in self.environment:
                file = self.folder / f"secret-{name}"
                file.write_text(f"{text}\n")
                self.environment[f"{variable}_FILE"] = str(file)
                origins[name] = f"{variable}_FILE"
        return origins


def toml(values: Mapping[str, Any]) -> str:
    lines = {name: msgspec.json.encode(value).decode() for name, value in values.items()}
    plain = "".join(f"{name} = {text}\n" for name, text in lines.items() if "." not in name)
    inner = "".join(
        f"{name.partition('.')[2]} = {text}\n" for name, text in lines.items() if "." in name
    )
    return f"[server]\n{plain}[server.limits]\n{inner}"


@given(
    st.dictionaries(
        st.sampled_from(SOURCES),
        st.fixed_dictionaries({}, optional=VALUES),
        max_size=len(SOURCES),
    )
)
@settings(max_examples=int(os.environ.get("RUNWATCH_TEST_LAYERS", "60")), deadline=None)
def test_the_highest_layer_that_says_something_wins_and_is_named(
    said: dict[str, dict[str, Any]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        wanted: dict[str, tuple[Any, str]] = {}
        for source in SOURCES:
            values = said.get(source, {})
            for name, origin in world.say(source, values).items():
                wanted[name] = (values[name], origin)
        loaded = load(ServerSettings, "server", environment=world.environment, flags=world.flags)
        defaults = {each.name: each.value for each in shown_settings(load_defaults())}
        for each in shown_settings(loaded):
            value, origin = wanted.get(each.name, (defaults[each.name], "default"))
            if each.name == "data_dir":
                continue
            assert each.origin == origin, each
            assert each.value == ("***" if each.name in SECRETS and value else value), each


def load_defaults() -> Any:
    return load(ServerSettings, "server", environment={"RUNWATCH_SYSTEM_CONFIG": "/nowhere"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def loaded(world: World, kind: Any = ServerSettings, table: str = "server") -> Any:
    return load_settings(kind, table, environment=world.environment)


def test_a_named_file_stands_in_place_of_the_others_and_takes_its_own_drop_ins(
    world: World, tmp_path: Path
) -> None:
    world.say("etc/runwatch.toml", {"port": 1, "host": "etc"})
    named = tmp_path / "named"
    (named / "runwatch.d").mkdir(parents=True)
    (named / "my.toml").write_text("[server]\nport = 2\nlog_level = 'debug'\n")
    (named / "runwatch.d/a.toml").write_text("[server]\nport = 3\n")
    (named / "runwatch.d/b.toml.off").write_text("[server]\nport = 4\n")
    world.environment["RUNWATCH_CONFIG"] = str(named / "my.toml")
    found = loaded(world)
    assert (found.port, found.host, found.log_level) == (3, "127.0.0.1", "debug")


def test_the_same_setting_is_not_taken_from_a_variable_and_a_file(world: World) -> None:
    world.environment |= {"RUNWATCH_JWT_SECRET": "a", "RUNWATCH_JWT_SECRET_FILE": "/b"}
    with pytest.raises(SettingsError, match="RUNWATCH_JWT_SECRET_FILE are both set; keep one"):
        loaded(world)


def test_variables_of_old_may_name_files_too(world: World, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://db/r\n")
    world.environment["RUNWATCH_DATABASE_URL_FILE"] = str(tmp_path / "url")
    assert loaded(world).database == "postgresql://db/r"


def test_a_tokens_file_is_the_setting_and_not_the_token(world: World) -> None:
    world.environment["RUNWATCH_TOKEN_FILE"] = "/run/token"
    node = loaded(world, NodeSettings, "node")
    assert (node.token_file, node.token) == ("/run/token", "")


@pytest.mark.parametrize(
    ("files", "environment", "told"),
    [
        ({"etc/runwatch.toml": "[sevrer]\n"}, {}, "no table [sevrer]; did you mean server?"),
        ({"etc/runwatch.d/10.toml": "[server]\nprot = 1\n"}, {}, "did you mean port?"),
        ({"own/config.toml": "[server.limits]\npage_row = 1\n"}, {}, "did you mean page_rows?"),
        ({"credentials/runwatch.jwt_secert": "x"}, {}, "did you mean jwt_secret?"),
        ({"credentials/runwatch.tls_key": "-----BEGIN"}, {}, "runwatch.tls_key is no credential"),
        ({}, {"RUNWATCH_LIMITS": '{"page_row": 1}'}, "did you mean page_rows?"),
        ({}, {"RUNWATCH_JWT_SECRET_FILE": "/nowhere/x"}, "cannot read /nowhere/x"),
        ({"secret": b"\xff"}, {"RUNWATCH_JWT_SECRET_FILE": "secret"}, "is not text"),
        ({"secret": "x" * 70_000}, {"RUNWATCH_JWT_SECRET_FILE": "secret"}, "longer than"),
    ],
)
def test_what_is_wrong_in_a_layer_is_told_with_its_place(
    world: World, files: dict[str, Any], environment: dict[str, str], told: str
) -> None:
    for name, content in files.items():
        file = world.folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, value in environment.items():
        inside = (world.folder / value).exists()
        world.environment[name] = str(world.folder / value) if inside else value
    with pytest.raises(SettingsError) as refused:
        loaded(world)
    assert told in str(refused.value)
    assert "BEGIN" not in str(refused.value)


def test_a_console_passes_over_settings_of_the_system_that_its_user_may_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.say("etc/runwatch.toml", {"port": 1})
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert loaded(world, ConsoleSettings, "console").lang == ""
    assert loaded(world).port == 1


def test_a_home_that_may_not_be_looked_into_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError(13, "Permission denied", "/root/.config")

    monkeypatch.setattr(Path, "exists", refused)
    with pytest.raises(SettingsError, match="cannot read"):
        loaded(world)


def test_tables_are_laid_over_each_other_key_by_key_and_maps_of_variables_are_whole(
    world: World,
) -> None:
    (world.folder / "etc/runwatch.toml").write_text("[node.labels]\na = '1'\nb = '1'\n")
    (world.folder / "own/config.toml").write_text("[node.labels]\nb = '2'\nc = '2'\n")
    assert loaded(world, NodeSettings, "node").labels == {"a": "1", "b": "2", "c": "2"}
    world.environment |= {"RUNWATCH_LABELS": "d=3", "RUNWATCH_LIMITS": '{"sockets": 3}'}
    world.say("own/config.toml", {"limits.page_rows": 7})
    assert loaded(world, NodeSettings, "node").labels == {"d": "3"}
    limits = loaded(world).limits
    assert (limits.sockets, limits.page_rows) == (3, 7)


def test_every_setting_that_holds_a_secret_is_covered() -> None:
    named = re.compile(r"(^|_)(secret|password|token|passphrase|api_key)$")
    found = {
        field.encode_name
        for kind in KINDS
        for field in msgspec.structs.fields(kind)
        if field.type is str and named.search(field.encode_name)
    }
    assert found <= SECRETS


def test_no_secret_is_in_what_is_shown_and_the_place_of_a_database_is(world: World) -> None:
    canary = "c4nary-c4nary-c4nary-c4nary-c4nary"
    for name in SECRETS | {"webhook_url"}:
        world.environment[f"RUNWATCH_{name.upper()}"] = canary
    url = f"postgresql://me:{canary}@db.example:5432/runwatch?password={canary}"
    world.environment["RUNWATCH_DATABASE"] = url
    world.environment["RUNWATCH_WEBHOOK_URL"] = f"https://chat.example/hooks/{canary}"
    for kind, table in ((ServerSettings, "server"), (NodeSettings, "node")):
        both = load(kind, table, environment=world.environment)
        text = "\n".join(setting_lines(both, origin=True))
        assert canary not in text
    text = "\n".join(
        setting_lines(load(ServerSettings, "server", environment=world.environment), origin=True)
    )
    assert 'database = "postgresql://db.example:5432/runwatch"' in text
    assert 'webhook_url = "https://chat.example/***"' in text
    assert re.search(r'^jwt_secret = "\*\*\*" +# RUNWATCH_JWT_SECRET$', text, re.MULTILINE)


@given(st.text())
def test_whatever_a_database_url_is_its_password_is_not_shown(password: str) -> None:
    canary = "zq9-zq9"
    environment = {"RUNWATCH_DATABASE": f"{password}://u:{canary}@h{password}/x"}
    shown = setting_lines(load(ServerSettings, "server", environment=environment), origin=False)
    assert canary not in "\n".join(shown)


def test_variables_that_nobody_reads_are_named_with_the_nearest(world: World) -> None:
    environment = {"RUNWATCH_LOG_LEVLE": "x", "RUNWATCH_TEST_X": "1", "RUNWATCH_PORT_FILE": "y"}
    assert unknown_variables(environment) == [
        "RUNWATCH_LOG_LEVLE is no setting; did you mean RUNWATCH_LOG_LEVEL?"
    ]
