"""`monitor-tui --help`: whole, grouped, in both languages."""

import typer

from runwatch_console.flags import FLAGS
from runwatch_console.headless.help import COMMAND_GROUPS, FLAG_GROUPS, help_text
from runwatch_console.headless.launching import app
from runwatch_console.headless.program import COMMANDS
from runwatch_console.headless.texts import cells
from runwatch_console.headless.words import HeadlessWords
from tests.console.network.test_cli import environment, monitor

__all__ = ["environment"]


def test_every_command_and_flag_stands_below_one_heading() -> None:
    assert COMMANDS
    group = typer.main.get_command(app)
    shown = [c for c, each in group.commands.items() if not each.hidden]  # type: ignore[attr-defined]
    assert sorted(name for names in COMMAND_GROUPS.values() for name in names) == sorted(shown)
    flags = [name for names in FLAG_GROUPS.values() for name in names]
    assert sorted(flags) == sorted([*(flag.name for flag in FLAGS), "--version", "--help"])


def test_a_command_without_a_heading_is_not_lost() -> None:
    text = help_text({"runs": "List.", "new-one": "Does it."}, HeadlessWords("en"), 80)
    assert "Others:\n  new-one  Does it." in text


def test_help_fits_in_eighty_columns() -> None:
    long = "word " * 40
    text = help_text({"runs": long}, HeadlessWords("en"), 80)
    assert max(map(cells, text.splitlines())) <= 80


async def test_help_is_that_of_the_program_in_the_language_that_was_asked_for(
    environment: dict[str, str],
) -> None:
    for arguments in (["--help"], ["-h"], ["--lang", "en", "--help"]):
        code, out, err = await monitor(environment, *arguments)
        assert (code, err) == (0, "")
        assert "One run:" in out
        assert "Print the events of a run." in out
    code, out, _ = await monitor(environment, "--help", "--lang", "zh")
    assert code == 0
    assert "单个运行：" in out
    assert "输出一个运行的事件。" in out
    code, out, _ = await monitor(environment, "runs", "--help")
    assert "--output" in out
