"""The settings file is changed in one place alone, whatever else is in it."""

import fcntl
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_console.settings_file import SettingsFile
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import SavedView

FILES = [
    "",
    "# only a comment\n",
    '[console]\nlang = "zh"  # as I like it\n',
    '[console.views.old]\nfilter = "s:wait"\n# after\n[server]\nport = 1\n',
    '[console]\n\n[server]\nport = 1\n\n[console.keys]\n"runs.sort" = "o"\n',
    'console = { lang = "en" }\n',
    '[console]\nviews = { a = { filter = "x" } }\n',
    '[node]\nlabels = { a = "b" }\r\n[console]\r\nmouse = false\r\n',
]
VIEW = SavedView(filter='say "no"', sort="cost", columns=["task"])


@pytest.mark.parametrize("text", FILES)
def test_a_view_comes_into_any_file_and_goes_out_of_it_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode())
    before = tomllib.loads(text)
    file = SettingsFile(path)
    file.save_view("fresh view", VIEW)
    after = tomllib.loads(path.read_bytes().decode())
    kept = after["console"]["views"].pop("fresh view")
    assert kept == {"filter": 'say "no"', "sort": "cost", "columns": ["task"]}
    before.setdefault("console", {}).setdefault("views", {})
    assert after == before
    comments = [line for line in text.splitlines() if "#" in line]
    assert ("\r\n" in path.read_bytes().decode()) == ("\r\n" in text)
    assert [line for line in path.read_text().splitlines() if "#" in line] == comments
    file.delete_view("fresh view")
    file.delete_view("fresh view")
    left = tomllib.loads(path.read_bytes().decode())
    left.setdefault("console", {}).setdefault("views", {})
    assert left == before


@settings(max_examples=40, deadline=None)
@given(
    name=st.text(min_size=1, max_size=40).filter(lambda text: "\ufeff" not in text),
    text=st.sampled_from(FILES),
    chosen=st.text(max_size=40),
)
def test_any_name_and_filter_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str, chosen: str
) -> None:
    path = tmp_path_factory.mktemp("kept") / "config.toml"
    path.write_bytes(text.encode())
    SettingsFile(path).save_view(name, SavedView(filter=chosen))
    views = tomllib.loads(path.read_bytes().decode())["console"]["views"]
    assert views[name].get("filter", "") == chosen


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    SettingsFile(path).save_view("a", VIEW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["config.toml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    path = tmp_path / "config.toml"
    path.symlink_to(real)
    SettingsFile(path).save_view("a", VIEW)
    assert path.is_symlink()
    assert "cost" in real.read_text()


def test_a_broken_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="UTF-8"):
        SettingsFile(path).save_view("a", VIEW)
    path.write_text("console = 3\n")
    with pytest.raises(SettingsError, match="by hand"):
        SettingsFile(path).save_view("a", VIEW)
    assert path.read_text() == "console = 3\n"


def test_what_cannot_be_changed_alone_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = '[console]\nviews.a.filter = "x"\n'
    path.write_text(text)
    with pytest.raises(SettingsError, match="by hand"):
        SettingsFile(path).save_view("b", VIEW)
    assert path.read_text() == text


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot write"):
        SettingsFile(tmp_path).save_view("a", VIEW)


def test_who_holds_the_lock_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runwatch_console.settings_file.LOCK_S", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(SettingsError, match="cannot write"):
            SettingsFile(tmp_path / "config.toml").save_view("a", VIEW)
    finally:
        os.close(descriptor)
    SettingsFile(tmp_path / "config.toml").save_view("a", VIEW)
