"""What is read out is text, and no more of it than can be listened to."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.looks import LOOKS
from runwatch_console.plain.changes import Change
from runwatch_console.plain.floods import Floods
from runwatch_console.plain.text import spoken


@given(st.text())
def test_a_line_is_one_line_of_printable_text_without_our_signs(text: str) -> None:
    line = spoken(text)
    assert line.isprintable()
    assert not set(line) & ({look.glyph for look in LOOKS} - {"–"})
    assert not any("\u2500" <= character <= "\u25ff" for character in line)
    assert all(unicodedata.category(character) != "Cc" for character in line)
    assert "  " not in line


@given(st.text(alphabet=st.characters(categories=["L", "N", "So"])))
def test_words_of_any_language_and_emoji_stay(text: str) -> None:
    drawn = {c for c in text if "\u2500" <= c <= "\u25ff"} | {look.glyph for look in LOOKS}
    assert spoken(text) == "".join(c for c in text if c not in drawn)


def test_our_signs_become_words_or_go() -> None:
    assert spoken("● run · exit 1 … a × 3 → b") == "run, exit 1 ... a x 3 to b"


CHANGES = st.builds(
    Change,
    key=st.sampled_from([f"run:{n}" for n in range(30)]),
    word=st.sampled_from(["look.run", "look.done", "look.wait"]),
    text=st.text(max_size=3),
    urgent=st.booleans(),
)


@given(st.lists(st.lists(CHANGES, max_size=40), max_size=10), st.integers(0, 12))
def test_each_round_tells_each_row_once_by_its_last_state_the_urgent_first(
    rounds: list[list[Change]], lines: int
) -> None:
    floods = Floods(round_s=1.0, lines=lines)
    now = 0.0
    for given_now in rounds:
        floods.add(given_now)
        last = {change.key: change for change in given_now}
        assert floods.held == len(last)
        now += floods.wait_s(now)
        telling = floods.tell(now)
        assert len(telling.lines) == min(lines, len(last))
        assert {change.key: change for change in telling.lines}.items() <= last.items()
        assert len(telling.lines) + sum(n for _, n in telling.more) == len(last)
        ranks = [not change.urgent for change in telling.lines]
        assert ranks == sorted(ranks)
        assert floods.held == 0
        assert floods.wait_s(now) == (1.0 if last else floods.wait_s(now))


def test_after_a_silence_the_first_change_is_told_at_once() -> None:
    floods = Floods(round_s=1.0)
    change = Change(key="run:1", word="look.run", text="x", urgent=False)
    floods.add([change])
    assert floods.wait_s(100.0) == 0.0
    floods.tell(100.0)
    assert floods.wait_s(100.25) == 0.75
    assert floods.wait_s(200.0) == 0.0
