"""What means nothing in the settings is named, with the nearest that does."""

from pathlib import Path

import pytest

from runwatch_console.keymap import DESTRUCTIVE, KEYS, TOGETHER, VI_MOTIONS, keys_of
from runwatch_console.locale.words import Words
from runwatch_console.settings_check import check_settings, key_problems
from runwatch_shared.errors import SettingsError
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import ConsoleSettings
from tests.console.driving import console

WORDS = Words("en")


def said(tmp_path: Path, text: str, lang: str = "en") -> str:
    path = tmp_path / "config.toml"
    path.write_text(text)
    environment = {"USER": "sam", "LANG": f"{lang}.UTF-8"}
    try:
        settings = load_settings(ConsoleSettings, "console", config=path, environment=environment)
        check_settings(settings, environment)
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[console]\nthem = 'dark'\n", ["[console] has no setting them", "did you mean theme?"]),
        ("[console]\ntheme = 'drak'\n", ["theme", "one of dark, light, high-contrast, 16"]),
        ("[console]\nhome = 'rnus'\n", ["home", "one of attention, runs"]),
        ("[console.keys]\n'runs.srot' = 'o'\n", ["[console.keys] runs.srot", "did you mean"]),
        ("[console.keys]\n'table.sort' = 'f'\n", ["table.sort", "f is the key of runs.filter"]),
        (
            "[console.keys]\n'table.sort' = 'o'\n'table.lock' = 'o'\n",
            ["table.sort", "o is the key of table.lock too"],
        ),
        (
            "[console.keys]\n'table.sort' = 'meta+o'\n",
            ["table.sort", "meta+o is the name of no key"],
        ),
        ("[console.keys]\n'table.sort' = 'question_mark'\n", ["is the key of app.help"]),
        ("[console.keys]\n'app.quit' = 'Q'\n", ["app.quit", "Q is the key of auth.qr"]),
        ("[console.keys]\n'table.sort' = 'slash'\n", ["slash is the key of browse.search"]),
        ("[console.keys]\n'table.sort' = 'line_feed'\n", ["the name of no key"]),
        ("[console.keys]\n'runs.cancel' = 'G'\n", ["runs.cancel", "G is a motion of vi"]),
        ("[console.keys]\n'runs.cancel' = 'u'\n", ["runs.cancel", "u opens, says yes"]),
        ("[console.views.x]\nfliter = 's:wait'\n", ["[console.views.x]", "did you mean filter?"]),
        ("[console.views.x]\nfilter = 's:wiat'\n", ["[console.views.x]", "filter: s:wiat"]),
        ("[console.views.active]\nsort = 'cost'\n", ["[console.views.active]", "built in"]),
        ("[console]\ncolumns = { runs = ['tsak'] }\n", ["[console.columns] runs", "mean task?"]),
        ("[console]\ncolumns = { pulse = ['a'] }\n", ["[console.columns] pulse", "runs, nodes"]),
        ("[console]\ndefault_view = 'activ-e'\n", ["[console] default_view", "mean active?"]),
    ],
)
@pytest.mark.requirement("settings.checked")
def test_an_entry_that_means_nothing_is_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    found = said(tmp_path, text)
    assert all(part in found for part in parts), found


def test_what_means_something_passes(tmp_path: Path) -> None:
    text = (
        "[console]\ntheme = '16'\ntime = 'utc'\nhome = 'nodes'\ndefault_view = 'night'\n"
        "columns = { runs = ['state', 'task'], nodes = ['node', 'version'] }\n"
        "[console.keys]\n'table.sort' = 'o'\n'runs.cancel' = 'ctrl+g'\n"
        "'app.quit' = 'B,ctrl+q,comma'\n"
        "[console.views.night]\nfilter = 's:fail ended<12h'\nlocked = true\n"
    )
    assert said(tmp_path, text) == ""


def test_a_problem_is_told_in_chinese(tmp_path: Path) -> None:
    assert "是否指" in said(tmp_path, "[console.views.x]\nsort = 'cots'\n", "zh_CN")


def test_a_key_may_be_given_to_another_action_when_its_own_goes_elsewhere() -> None:
    swapped = {"table.sort": "f", "runs.filter": "s"}
    assert list(key_problems(swapped, WORDS)) == []


def test_no_key_that_comes_with_the_console_stands_twice() -> None:
    problems = list(key_problems({key.id: key.keys for key in KEYS}, WORDS))
    assert problems == []


def test_every_owner_is_among_those_that_are_looked_at_together() -> None:
    assert {key.owner for key in KEYS} == {owner for owners in TOGETHER for owner in owners}


def test_nothing_destructive_comes_on_a_motion_of_vi() -> None:
    keys = {key.id: key.keys.split(",") for key in KEYS}
    assert set(keys) >= DESTRUCTIVE
    assert not {name for action in DESTRUCTIVE for name in keys[action]} & VI_MOTIONS
    assert all(key.id in DESTRUCTIVE for key in KEYS if key.action in ("cancel", "delete"))


async def test_a_key_of_the_settings_works_and_is_shown_in_help() -> None:
    async with console(keymap={"table.sort": "o", "app.help": "f1"}) as driven:
        await driven.press("2", "o")
        await driven.until_text("sort: newest")
        await driven.press("f1")
        await driven.until_text("esc closes")
        assert "o" in driven.line_with("next order").split()
        assert keys_of(["table"])


def test_all_that_means_nothing_is_named_each_on_its_line(tmp_path: Path) -> None:
    text = "[console.keys]\n'runs.srot' = 'o'\n[console.columns]\nrnus = ['age']\n"
    lines = said(tmp_path, text).splitlines()
    assert len(lines) == 2
    assert "runs.srot" in lines[0]
    assert "rnus" in lines[1]
