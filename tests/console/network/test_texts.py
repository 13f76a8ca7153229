import csv
import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.headless.formats import FORMULA_SIGNS, csv_text, json_text
from runwatch_console.headless.texts import cells, coloured, cut, pad
from runwatch_shared.text import clean
from tests.shared.hostile import HOSTILE


@pytest.mark.requirement("rule.two_languages")
@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("中文", 4), ("e\u0301", 1), ("ﾊﾝ", 2), ("\uff21", 2), ("🙂", 2), ("", 0)],
)
def test_a_text_takes_the_cells_a_terminal_gives_it(text: str, width: int) -> None:
    assert cells(text) == width


@given(st.text(), st.integers(0, 40))
def test_a_cut_or_padded_text_never_takes_more_than_its_width(text: str, width: int) -> None:
    shown = clean(text)
    assert cells(cut(shown, width)) <= width
    assert cells(pad(shown, width)) == width
    assert cells(pad(shown, width, "right")) == width


def test_a_wide_character_is_not_cut_in_half() -> None:
    assert cut("中文字", 4) == "中…"
    assert pad("中文字", 4) == "中… "


def test_a_tone_without_a_colour_stays_plain() -> None:
    assert coloured("x", "") == "x"
    assert coloured("x", "failed") == "\x1b[1;31mx\x1b[0m"


@given(st.text() | st.sampled_from(HOSTILE))
def test_json_keeps_every_character_and_shows_none_that_a_terminal_obeys(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    shown = json_text({"name": text})
    assert json.loads(shown) == {"name": text}
    assert clean(shown) == shown
    assert "\n" not in shown


def test_indented_json_is_the_same_document() -> None:
    record = {"a": [1, {"b": "\x9b31m\u202e"}]}
    assert msgspec.json.decode(json_text(record, indent=2)) == record


@given(st.lists(st.text() | st.sampled_from(HOSTILE) | st.none() | st.integers(), min_size=1))
def test_csv_is_read_back_clean_and_nothing_in_it_is_computed(values: list[object]) -> None:
    text = csv_text([values])  # type: ignore[list-item]  # any of the allowed values
    assert text.endswith("\r\n")
    (row,) = csv.reader(io.StringIO(text, newline=""))
    assert len(row) == len(values)
    for value, cell in zip(values, row, strict=True):
        if isinstance(value, str):
            assert not cell.startswith(FORMULA_SIGNS)
            assert cell.removeprefix("'") == clean(value, newlines=True).removeprefix("'")
        else:
            assert cell == ("" if value is None else str(value))


def test_a_negative_number_of_ours_is_a_number_and_a_text_that_looks_like_one_is_not() -> None:
    assert csv_text([("\ufe0f=1",)]) == "'=1\r\n"
    assert csv_text([(-5, "-5", "=1+1", "@x", "+1", "\t=1", "plain, quoted")]) == (
        "-5,'-5,'=1+1,'@x,'+1,'␉=1,\"plain, quoted\"\r\n"
    )
