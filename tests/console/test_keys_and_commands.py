"""Keys as data, the command line's language, and the way to the clipboard."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.clipboard import OSC_52_LIMIT, copy_way
from runwatch_console.commands import (
    COMMANDS,
    CommandError,
    complete_command,
    complete_filter,
    find_run,
    parse_command,
)
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.keymap import KEYS, key_text, keys_of
from tests.console.records import fleet_nodes, fleet_rows, snapshot

FLEET = fold(Fleet(), [snapshot(fleet_rows(), fleet_nodes())])
SCREENS = (
    ("list", "runs", "browse", "app"),
    ("list", "runs", "table", "browse", "app"),
    ("events", "list", "browse", "app"),
    ("tile", "pulse", "app"),
)


def test_ids_are_unique() -> None:
    assert [key_id for key_id, n in Counter(key.id for key in KEYS).items() if n > 1] == []


@pytest.mark.parametrize("owners", SCREENS)
def test_no_key_means_two_things_on_one_screen(owners: tuple) -> None:
    names = Counter(name for key in keys_of(owners) for name in key.keys.split(","))
    assert [name for name, n in names.items() if n > 1] == []


@pytest.mark.requirement("rule.destructive_keys")
def test_what_destroys_is_no_motion_and_needs_a_chord() -> None:
    for key in KEYS:
        if key.action == "cancel":
            assert key.keys.startswith("ctrl+")


def test_keys_read_as_people_write_them() -> None:
    assert key_text("j,down") == "j ↓"
    assert key_text("ctrl+k") == "^k"
    assert key_text("enter") == "⏎"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (":runs", ("runs", "")),
        ("runs s:wait node:n2", ("runs", "s:wait node:n2")),
        ("q", ("quit", "")),
        ("run  run-1 ", ("run", "run-1")),
        ("att", ("attention", "")),
    ],
)
def test_a_command_is_understood(line: str, expected: tuple[str, str]) -> None:
    assert parse_command(line) == expected


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("frobnicate", "command.unknown"),
        ("run", "command.needs_argument"),
        ("re", "command.ambiguous"),
        ("", "command.unknown"),
    ],
)
def test_a_line_that_means_nothing_says_why(line: str, word: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_command(line)
    assert raised.value.word == word


@pytest.mark.requirement("keys.command")
def test_commands_and_their_arguments_are_completed() -> None:
    assert complete_command("att", FLEET) == ["attention"]
    assert complete_command("run run-51", FLEET) == ["run run-51aa00c4d2e1"]
    assert complete_command("sort co", FLEET) == ["sort cost"]
    assert complete_command("time u", FLEET) == ["time UTC"]
    assert complete_command("ctx PR", FLEET, contexts=["prod", "test"]) == ["ctx prod"]
    assert complete_command("runs s:wa", FLEET) == ["runs s:wait", "runs s:waiting"]
    assert complete_command("nodes x", FLEET) == []


def test_filters_are_completed_at_the_last_term() -> None:
    assert complete_filter("docs !no", FLEET) == ["docs !node:", "docs !now:"]
    assert complete_filter("node:n", FLEET)[0] == "node:n1"
    assert complete_filter("s:wait,lo", FLEET) == ["s:wait,loop"]


@given(st.text(max_size=40))
def test_completion_and_parsing_take_any_text(text: str) -> None:
    complete_command(text, FLEET)
    complete_filter(text, FLEET)
    try:
        name, _ = parse_command(text)
    except CommandError:
        return
    assert name in {command.name for command in COMMANDS}


def test_a_run_is_found_by_its_beginning_or_end_if_that_is_only_one() -> None:
    assert find_run(FLEET, "run-51") == "run-51aa00c4d2e1"
    assert find_run(FLEET, "run-0") is None
    assert find_run(FLEET, "nope") is None
    assert find_run(FLEET, "run-123456789abc") == "run-123456789abc"


def test_inside_tmux_its_buffer_is_used() -> None:
    way = copy_way({"TMUX": "/tmp/tmux-0/default,1,0"}, 10)
    assert way.command == ("tmux", "load-buffer", "-w", "-")


def test_no_way_promises_what_nobody_can_know() -> None:
    for environment in ({}, {"TMUX": "x"}, {"STY": "x"}):
        for size in (10, OSC_52_LIMIT + 1):
            assert copy_way(environment, size).word.startswith("copy.")
    assert copy_way({}, OSC_52_LIMIT + 1).word == "copy.large"
