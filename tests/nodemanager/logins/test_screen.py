"""The screen shows what a terminal would: beside another terminal's code, and over recordings."""

from pathlib import Path

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_nodemanager.logins.screen import Screen

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.raw"))
ROWS, COLUMNS = 6, 20

PIECES = st.one_of(
    st.text("abcxyz .-", min_size=1, max_size=30),
    st.sampled_from(["\r", "\n", "\r\n", "\b", "\t", "é"]),
    st.builds("\x1b[{}{}".format, st.integers(0, 25), st.sampled_from("ABCDGdEF")),
    st.builds("\x1b[{};{}H".format, st.integers(0, 8), st.integers(0, 25)),
    st.builds("\x1b[{}K".format, st.integers(0, 2)),
    st.builds("\x1b[{}J".format, st.integers(0, 2)),
    st.builds("\x1b[{}{}".format, st.integers(1, 7), st.sampled_from("LMPX@")),
    st.sampled_from(["\x1b7", "\x1b8", "\x1bM", "\x1bD", "\x1b[1;31m", "\x1b[0m", "\x1b[?25l"]),
)


def shown(screen: Screen) -> list[str]:
    """Rows without their right blanks, as ``pyte`` gives them."""
    return ["".join(row).rstrip() for row in screen._grid.rows]


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=25))
def test_it_shows_what_another_terminal_shows(pieces: list[str]) -> None:
    """Up to where a row is just full: what a control does then terminals disagree about."""
    screen = Screen(ROWS, COLUMNS)
    other = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(other)
    for piece in pieces:
        screen.feed(piece.encode())
        stream.feed(piece)
        assert shown(screen) == [row.rstrip() for row in other.display]
        if other.cursor.x >= COLUMNS:
            return


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_it_shows_the_same_wherever_the_output_is_cut(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(RECORDINGS)).read_bytes()
    one = Screen(60, 1000)
    one.feed(whole)
    other = Screen(60, 1000)
    at = 0
    for cut in sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20))):
        other.feed(whole[at:cut])
        at = cut
    other.feed(whole[at:])
    assert (one.text, one.links) == (other.text, other.links)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_it_takes_whatever_comes(pieces: list[bytes]) -> None:
    screen = Screen(ROWS, COLUMNS)
    for piece in pieces:
        screen.feed(b"\x1b[" + piece)
        screen.feed(piece)
    assert all(len(row) == COLUMNS for row in screen._grid.rows)
    assert len(screen._grid.rows) == len(screen._grid.joined) == ROWS


def test_a_line_that_was_wrapped_is_one_line() -> None:
    screen = Screen(ROWS, COLUMNS)
    screen.feed(b"https://example.org/" + b"0123456789" * 3 + b"\r\nend")
    assert screen.lines == ["https://example.org/" + "0123456789" * 3, "end"]


def test_a_wide_character_that_does_not_fit_begins_the_next_row() -> None:
    screen = Screen(ROWS, COLUMNS)
    screen.feed("{}世界\x1b[2;1H界".format("a" * 17).encode())
    assert shown(screen)[:2] == ["a" * 17 + "世", "界"]


def test_a_link_is_known_by_its_target_and_its_text_is_shown_once() -> None:
    screen = Screen(ROWS, COLUMNS)
    screen.feed(b"\x1b]8;id=7;https://example.org/a;b\x07here\x1b]8;;\x1b\\ it is")
    assert screen.links == ["https://example.org/a;b"]
    assert screen.text == "here it is"


def test_what_was_cleared_away_is_kept_for_a_while() -> None:
    screen = Screen(ROWS, COLUMNS)
    screen.feed(b"one\r\ntwo\x1b[2J\x1b[Hthree\x1b[?1049hfour\x1b[?1049l")
    assert list(screen.gone) == ["one", "two", "     four"]
    assert screen.text == "three"
    screen.feed(b"\r\n" * 9)
    assert screen.gone[-1] == "three"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_no_control_of_a_real_program_is_taken_for_text(path: Path) -> None:
    screen = Screen(60, 1000)
    screen.feed(path.read_bytes())
    for line in (*screen.lines, *screen.gone):
        assert line.isprintable()
        assert "[?" not in line
        assert ";;" not in line
