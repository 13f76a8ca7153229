import pytest

from runwatch_console.flags import FLAGS, START_ONLY, FlagError, split_flags
from runwatch_shared.settings import ConsoleSettings


def test_without_a_command_nothing_is_left() -> None:
    split = split_flags(["--server", "https://x", "--low-bw", "--no-mouse", "--lang=zh"])
    assert split.typed == {"server": "https://x", "low_bw": True, "mouse": False, "lang": "zh"}
    assert split.rest == ()


def test_flags_are_taken_before_and_after_the_command() -> None:
    split = split_flags(["--ca", "a.pem", "runs", "-f", "s:wait", "--server=u", "--watch"])
    assert split.typed == {"ca": "a.pem", "server": "u"}
    assert split.rest == ("runs", "-f", "s:wait", "--watch")


def test_what_stands_behind_two_dashes_belongs_to_the_command_that_is_started() -> None:
    split = split_flags(["start", "--name", "x", "--", "prog", "--server", "theirs"])
    assert split.typed == {}
    assert split.rest == ("start", "--name", "x", "--", "prog", "--server", "theirs")


@pytest.mark.parametrize("arguments", [["--server"], ["--ca", "--", "x"], ["--low-bw=yes"]])
def test_a_flag_without_its_value_or_a_switch_with_one_is_refused(arguments: list[str]) -> None:
    with pytest.raises(FlagError):
        split_flags(arguments)


def test_every_flag_but_those_of_one_start_is_a_setting() -> None:
    known = set(ConsoleSettings.__struct_fields__)
    assert {flag.setting for flag in FLAGS} - START_ONLY <= known
