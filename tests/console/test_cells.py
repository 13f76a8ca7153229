"""Text cut, filled and wrapped to terminal cells."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.geometry import Region

from runwatch_console.widgets.cells import fit, split_matches, wrap
from runwatch_console.widgets.text_line import TextLine
from tests.console.driving import console

PRINTABLE = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=80)


@given(PRINTABLE, st.integers(1, 60), st.sampled_from(["left", "right"]))
def test_text_is_fitted_to_exactly_its_cells(text: str, width: int, align: str) -> None:
    assert cell_len(fit(text, width, align)) == width  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("任务名称", 6, "任务… "),
        ("任务", 4, "任务"),
        ("abc", 2, "a…"),
        ("🚀🚀", 3, "🚀…"),
        ("a", 0, ""),
    ],
)
def test_wide_characters_are_never_cut_in_half(text: str, width: int, expected: str) -> None:
    assert fit(text, width) == expected


@given(PRINTABLE, st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wrapping_prefers_spaces() -> None:
    assert wrap("one two three", 9) == ["one two", "three"]


@given(PRINTABLE, st.text("abc", min_size=1, max_size=3))
def test_pieces_of_a_search_put_together_are_the_text(text: str, needle: str) -> None:
    pattern = re.compile(re.escape(needle))
    pieces = split_matches(text, pattern)
    assert "".join(piece for piece, _ in pieces) == text
    assert sum(matches for _, matches in pieces) == text.count(needle)


@pytest.mark.requirement("rule.two_languages")
async def test_a_line_that_ends_in_a_wide_character_is_drawn_with_both_its_cells() -> None:
    async with console(language="zh") as driven:
        await driven.press("2")
        line = driven.app.screen.query_one("#status", TextLine)
        asked: list[Region] = []
        line.refresh = lambda *regions, **_: asked.extend(regions)  # type: ignore[method-assign,assignment]
        for before, after, region in (
            ("排序: 关注", "排序: 最新", (6, 4)),
            ("排序: 新a", "排序: 新闻", (8, 2)),
            ("a新b", "a闻b", (1, 2)),
            ("abc", "aqc", (1, 1)),
        ):
            line.show(((before, ""),))
            asked.clear()
            line.show(((after, ""),))
            assert [(each.x, each.width) for each in asked] == [region]
