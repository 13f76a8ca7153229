"""Completions and manual page of any program, whatever its texts hold."""

import re
import shutil
import subprocess
from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest
import typer

from runwatch_shared.usage.manual import manual_page
from runwatch_shared.usage.reading import read_tree
from runwatch_shared.usage.shells import Shell, completion_script
from runwatch_shared.usage.tree import CommandTree, Option
from runwatch_shared.usage.values import MOST, safe_values
from tests.shells import completed, needed

SHELLS = ("bash", "zsh", "fish")
HOSTILE = 'it\'s "$(touch pwned)" `touch pwned`; .TH x:y \\ %s'


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def made() -> CommandTree:
    app = typer.Typer(rich_markup_mode=None, add_completion=False, help="Paints. Much.")
    inner = typer.Typer(help=HOSTILE)
    app.add_typer(inner, name="wall")

    @app.command(help=HOSTILE)
    def floor(
        area: Annotated[str, typer.Argument(metavar="AREA", help=HOSTILE)],
        colour: Annotated[Colour, typer.Option("-c", "--colour", help=HOSTILE)] = Colour.RED,
        file: Annotated[str, typer.Option(help="A file.")] = "",
        secret: Annotated[str, typer.Option(hidden=True)] = "",
        wet: Annotated[bool, typer.Option("--wet/--dry", help="Is it?")] = False,
        coats: Annotated[int, typer.Option(help="How many.")] = 1,
    ) -> None: ...

    @app.command(hidden=True)
    def unseen() -> None: ...

    @inner.command("north-side")
    def north_side(where: Colour) -> None:
        """A wall."""

    common = (Option(names=("--lang",), help=HOSTILE, value="en|zh", choices=("en", "zh")),)
    return read_tree(typer.main.get_command(app), name="my-paint", common=common)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    needed(request.param)
    return str(request.param)


@pytest.fixture
def script(shell: str, tmp_path: Path) -> Path:
    path = tmp_path / f"paint.{shell}"
    path.write_text(completion_script(made(), Shell(shell)), encoding="utf-8")
    return path


def test_the_tree_is_what_the_parser_takes() -> None:
    tree = made()
    assert [command.name for command in tree.commands] == ["floor", "wall"]
    floor = tree.commands[0]
    assert [option.names for option in floor.options] == [
        ("--colour", "-c"), ("--file",), ("--wet", "--dry"), ("--coats",), ("--help", "-h")
    ]  # fmt: skip
    assert [option.value for option in floor.options] == ["red|blue", "TEXT", "", "N", ""]
    assert floor.options[0].choices == ("red", "blue")
    assert floor.options[1].kind == "files"
    assert tree.summary == "Paints. Much."


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], {"floor", "wall"}),
        (["wall", ""], {"north-side"}),
        (["wall", "north-side", ""], {"red", "blue"}),
        (["--lang", ""], {"en", "zh"}),
        (["--lang", "en", "wall", ""], {"north-side"}),
        (["floor", "--lang", ""], {"en", "zh"}),
        (["floor", "-c", ""], {"red", "blue"}),
        (["floor", "--colour", "wall", "--colour", ""], {"red", "blue"}),
        (
            ["floor", "--"],
            {"--colour", "--file", "--wet", "--dry", "--coats", "--help", "--lang"},
        ),
    ],
)
def test_commands_options_and_choices_are_completed(
    shell: str, script: Path, words: list[str], expected: set[str]
) -> None:
    found = completed(shell, script, "my-paint", *words, folder=script.parent)
    # zsh is given the short names too and leaves out itself what does not begin as typed.
    assert {name for name in found if not re.fullmatch("-[a-z]", name)} == expected
    assert not (script.parent / "pwned").exists()


@pytest.mark.parametrize("words", [["--colour", "=", "b"], ["--colour=b"]])
def test_a_value_after_an_equals_sign_is_completed(words: list[str], tmp_path: Path) -> None:
    name = "bash" if len(words) == 3 else "zsh"
    path = tmp_path / "script"
    path.write_text(completion_script(made(), Shell(name)), encoding="utf-8")
    assert "blue" in completed(name, path, "my-paint", "floor", *words)


def test_files_are_offered_where_a_file_is_taken(tmp_path: Path, shell: str, script: Path) -> None:
    (tmp_path / "a file.txt").touch()
    found = completed(shell, script, "my-paint", "floor", "--file", "a", folder=tmp_path)
    assert found == (["FILES "] if shell == "zsh" else ["a file.txt"])


def test_what_no_shell_may_see_is_no_value() -> None:
    outside = ["run-1", "run-2", "$(touch x)", "a b", "-rf", "x;y", "run-1", "", "é", "a\nb"]
    assert safe_values(outside) == ["run-1", "run-2"]
    assert safe_values(outside, "run-2") == ["run-2"]
    assert len(safe_values(f"r{n}" for n in range(2 * MOST))) == MOST


def test_the_manual_page_holds_texts_as_texts() -> None:
    page = manual_page(made(), version="1.0", sections=[("Files", ".so /etc/passwd\n'x")])
    requests = {line.partition(" ")[0] for line in page.splitlines() if line[:1] in (".", "'")}
    assert requests == {".TH", ".SH", ".SS", ".B", ".TP", ".PP"}
    assert '.SS "wall north\\-side"' in page
    assert "unseen" not in page


def test_the_manual_page_is_well_formed(tmp_path: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    path = tmp_path / "my-paint.1"
    path.write_text(manual_page(made(), version="1.0", sections=[("Files", "x")]), encoding="utf-8")
    done = subprocess.run(
        ["mandoc", "-Tlint", "-W", "warning", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    # Without a date the page is the same whenever it is made.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
