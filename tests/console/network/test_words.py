import re

import typer

from runwatch_console.headless.launching import app
from runwatch_console.headless.program import COMMANDS
from runwatch_console.headless.words import EN, LANGUAGES, ZH_HELP
from runwatch_console.headless.zh_help import ZH_HELP_OF_LOGINS

PLACE = re.compile(r"\{(\w+)\}")


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    for table in LANGUAGES.values():
        assert table.keys() == EN.keys()
        for word_id, text in table.items():
            assert set(PLACE.findall(text)) == set(PLACE.findall(EN[word_id])), word_id


def test_every_help_text_has_a_chinese_one() -> None:
    assert COMMANDS
    group = typer.main.get_command(app)
    helps = set()
    for command in group.commands.values():  # type: ignore[attr-defined]  # a group has commands
        if command.hidden:
            continue
        helps.add(command.help)
        helps |= {getattr(parameter, "help", None) for parameter in command.params}
    helps -= {None, "Show this message and exit."}
    assert helps == {*ZH_HELP, *ZH_HELP_OF_LOGINS}
