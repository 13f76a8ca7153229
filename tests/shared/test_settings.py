"""Defaults < file < environment < flags."""

from pathlib import Path

import pytest

from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import ConsoleSettings, NodeSettings, ServerSettings


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "runwatch.toml"
    path.write_text(text)
    return path


def test_each_layer_lies_over_the_one_before(tmp_path: Path) -> None:
    path = config(tmp_path, '[server]\nport = 1\nhost = "file"\nlog_level = "debug"\n')
    environment = {"RUNWATCH_PORT": "2", "RUNWATCH_HOST": "environment"}

    settings = load_settings(
        ServerSettings,
        "server",
        config=path,
        environment=environment,
        flags={"port": 3, "tls": None},
    )

    assert (settings.port, settings.host, settings.log_level, settings.tls) == (
        3,
        "environment",
        "debug",
        True,
    )


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = config(tmp_path, "[server]\nprot = 1\n")

    with pytest.raises(SettingsError, match="did you mean port"):
        load_settings(ServerSettings, "server", config=path, environment={})


@pytest.mark.parametrize("text", ["[server\n", "server = 3\n", '[server]\nport = "many"\n'])
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load_settings(ServerSettings, "server", config=config(tmp_path, text), environment={})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(ServerSettings, "server", config=tmp_path / "none.toml", environment={})


def test_tables_within_a_table_are_read(tmp_path: Path) -> None:
    path = config(tmp_path, "[server.limits]\nsockets = 7\n[server.health]\nslow_s = 9\n")

    settings = load_settings(ServerSettings, "server", config=path, environment={})

    assert (settings.limits.sockets, settings.health.slow_s) == (7, 9)


def test_lists_and_maps_come_from_one_variable_each() -> None:
    server = load_settings(
        ServerSettings, "server", environment={"RUNWATCH_ALLOWED_HOSTS": "a.example, b.example"}
    )
    node = load_settings(NodeSettings, "node", environment={"RUNWATCH_LABELS": "gpu=yes,zone=b"})

    assert server.allowed_hosts == ["a.example", "b.example"]
    assert node.labels == {"gpu": "yes", "zone": "b"}


def test_the_node_token_is_read_for_nodes_and_not_for_the_console() -> None:
    environment = {"RUNWATCH_NODE_TOKEN": "secret"}

    assert load_settings(NodeSettings, "node", environment=environment).token == "secret"
    assert load_settings(ConsoleSettings, "console", environment=environment).token == ""


def test_the_data_directory_follows_xdg_and_its_own_variable(tmp_path: Path) -> None:
    xdg = {"XDG_DATA_HOME": str(tmp_path)}

    assert load_settings(ServerSettings, "server", environment=xdg).data_dir == str(
        tmp_path / "runwatch"
    )
    own = {**xdg, "RUNWATCH_DATA_DIR": str(tmp_path / "own")}
    assert load_settings(NodeSettings, "node", environment=own).data_dir == str(tmp_path / "own")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"RUNWATCH_PORT": "x"}, "[server] port does not fit: expected int"),
        (
            {"RUNWATCH_LIMITS": '{"page_rows":"a"}'},
            "RUNWATCH_LIMITS must be a JSON object: page_rows does not fit: expected int",
        ),
        ({"RUNWATCH_LIMITS": "{"}, "RUNWATCH_LIMITS must be a JSON object: it is not JSON"),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_our_words(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(
            ServerSettings, "server", config=config(tmp_path, ""), environment=environment
        )
    assert str(refused.value) == told
