"""The texts of both languages."""

import re
from string import Formatter
from typing import Any, get_args

import pytest

from runwatch_console.commands import COMMANDS
from runwatch_console.keymap import KEYS
from runwatch_console.locale.words import LANGUAGES, Words, counted, language_of
from runwatch_console.looks import LOOKS
from runwatch_console.ordering import SORTS
from runwatch_console.ports import LossReason
from runwatch_console.tiles import TILES
from runwatch_shared.models import StatusSource, Waiting

EN, ZH = LANGUAGES["en"], LANGUAGES["zh"]


def facts(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_ids() -> None:
    assert EN.keys() == ZH.keys()


@pytest.mark.parametrize("word_id", EN)
def test_a_text_takes_the_same_facts_in_both_languages(word_id: str) -> None:
    assert facts(EN[word_id]) == facts(ZH[word_id])


def _literals(kind: Any, name: str) -> list[str]:
    return [str(value) for value in get_args(kind.__annotations__[name])]


def test_every_id_that_is_put_together_exists() -> None:
    ids = [look.word for look in LOOKS] + [f"{look.word}.help" for look in LOOKS]
    ids += [key.help for key in KEYS] + [f"{key.help}.short" for key in KEYS if key.hint]
    ids += [f"sort.{sort.id}" for sort in SORTS] + [tile.title for tile in TILES]
    ids += [f"loss.{reason.value}" for reason in LossReason]
    ids += [f"wait.{kind}" for kind in _literals(Waiting, "kind")]
    ids += [f"source.{kind}" for kind in _literals(StatusSource, "kind")]
    assert [word_id for word_id in ids if word_id not in EN] == []


def test_state_words_fit_their_column() -> None:
    for look in LOOKS:
        assert len(EN[look.word]) <= 7, look.word
        assert len(ZH[look.word]) <= 3, look.word


def test_an_unknown_id_is_a_defect_and_facts_are_never_read_as_a_format() -> None:
    words = Words("en")
    with pytest.raises(KeyError):
        words("nope")
    assert words("search.none", text="{0} {x}") == "no match for {0} {x}"


@pytest.mark.parametrize(
    ("asked", "environment", "language"),
    [
        ("zh", {}, "zh"),
        ("", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("", {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ("", {}, "en"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        ("fr", {}, "en"),
    ],
)
def test_the_language_is_what_was_asked_else_the_locales(
    asked: str, environment: dict[str, str], language: str
) -> None:
    assert language_of(asked, environment) == language


def test_commands_are_words_of_the_console() -> None:
    assert len({name for c in COMMANDS for name in (c.name, *c.aliases)}) == sum(
        1 + len(c.aliases) for c in COMMANDS
    )


def test_no_text_carries_a_control_character_but_line_ends() -> None:
    for table in (EN, ZH):
        for word_id, text in table.items():
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), word_id


def test_one_event_is_one_and_many_have_their_commas() -> None:
    words = Words("en")
    assert counted(words, "link.caught_up", 1) == "+1 event caught up"
    assert counted(words, "link.caught_up", 1_204) == "+1,204 events caught up"
    assert counted(Words("zh"), "fact.events", 1) == "1 个事件"
