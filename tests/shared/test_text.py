"""Outside text is harmless after `clean`, and still says what it said."""

import random
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runwatch_shared.text import clean, has_control, strip_sequences
from tests.shared.hostile import HOSTILE

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Written down a second time, on purpose: a mistake in the module's table shows here."""

SURROGATES_TOO = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
POISONED = st.lists(st.sampled_from(HOSTILE) | SURROGATES_TOO, max_size=20).map("".join)


def test_the_corpus_is_large_enough() -> None:
    assert len(set(HOSTILE)) >= 250


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("fold", [True, False])
def test_no_hostile_sequence_survives(marks: bool, fold: bool) -> None:
    for text in HOSTILE:
        for around in (text, f"before {text} after", f"{text}{text}"):
            assert not UNSAFE.search(clean(around, marks=marks, fold=fold)), ascii(around)


@settings(max_examples=500)
@given(POISONED, st.booleans(), st.booleans())
def test_no_combination_survives(text: str, fold: bool, marks: bool) -> None:
    assert not UNSAFE.search(clean(text, fold=fold, marks=marks, tab_size=4))
    kept = clean(text, newlines=True, fold=fold, marks=marks)
    assert not UNSAFE.search(kept.replace("\n", ""))


def test_a_hundred_thousand_random_texts_are_harmless() -> None:
    chance = random.Random(20261123)
    unsafe = [chr(code) for code in range(0x110000) if UNSAFE.match(chr(code))]
    letters = [*"ab[];0m\\ ", *map(chr, range(0xA0)), "中", "😀", *chance.sample(unsafe, 200)]
    for _ in range(100_000):
        text = "".join(chance.choices(letters, k=chance.randrange(1, 12)))
        cleaned = clean(text)
        assert cleaned.isascii() or not UNSAFE.search(cleaned), ascii(text)
        assert cleaned.isprintable() or "\u00a0" in text, ascii(text)


def test_every_single_character_is_kept_or_made_visible() -> None:
    for code in range(0x110000):
        cleaned = clean(chr(code))
        assert not UNSAFE.search(cleaned), hex(code)
        if not UNSAFE.match(chr(code)) and unicodedata.category(chr(code)) not in (
            "Cf",
            "Cc",
            "Mn",
        ):
            assert cleaned == chr(code), hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("\x00\x07\x7f", "␀␇␡"),
        ("\x9b31m", "<9B>31m"),
        ("user\u202etxt.exe", "user<U+202E>txt.exe"),
        ("\U000e0041", "<U+E0041>"),
        ("\udc9b", "<9B>"),
        ("\ud800", "<U+D800>"),
        ("a\r\nb\rc\n", "a␊b␊c␊"),
        ("a\tb", "a␉b"),
    ],
)
def test_what_is_unsafe_is_shown_as_a_mark(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "空格　和标点，。",
        "naïve café",
        "😀🚀",
        "é",
        "[red]a[/",
        "\u00a0",
        "ไทย",
        "हिन्दी",
    ],
)
def test_printable_text_of_any_script_passes_unchanged(text: str) -> None:
    assert clean(text) == text


def test_emoji_lose_only_what_terminals_disagree_about() -> None:
    assert clean("⚠\ufe0f ok") == "⚠ ok"
    assert clean("\U0001f468\u200d\U0001f4bb") == "\U0001f468\U0001f4bb"
    assert clean("a\u200db") == "a<U+200D>b"


def test_without_marks_whole_sequences_are_removed() -> None:
    assert clean("\x1b[1;31mred\x1b[0m", marks=False) == "red"
    assert clean("\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link", marks=False) == "textlink"
    assert clean("\x1b]52;c;unfinished", marks=False) == "52;c;unfinished"
    assert clean("a\u202eb\x00c", marks=False) == "abc"


def test_sequences_can_be_stripped_and_lines_kept() -> None:
    assert strip_sequences("\x1b[32mok\x1b[0m\nnext\t\x9b1mbold\x1b(B") == "ok\nnext\tbold"


def test_folding_makes_one_line_of_white_space_of_every_kind() -> None:
    assert clean("  a\n\n b\t\u2028c\u3000d\r\n ", fold=True) == "a b c d"
    assert clean("a \x1b[0m b", fold=True, marks=False) == "a b"


def test_lines_and_tabs_are_kept_where_asked() -> None:
    assert clean("a\r\nb\rc", newlines=True) == "a\nb\nc"
    assert clean("a\tb\n\tc", newlines=True, tab_size=4) == "a   b\n    c"
    assert clean("a\tb", fold=True, tab_size=8) == "a b"


@given(POISONED, st.integers(0, 50), st.booleans())
@example("x" * 10_000, 5, True)
@example(" " * 10_000, 5, True)
@example("\ufe0f" * 10_000, 5, False)
def test_a_limit_holds_and_a_cut_is_shown(text: str, limit: int, fold: bool) -> None:
    whole = clean(text, fold=fold)
    short = clean(text, fold=fold, limit=limit)
    assert len(short) <= limit
    if len(whole) > limit > 0:
        assert short.endswith("…")
        assert whole.startswith(short[:-1].rstrip() if fold else short[:-1])


def test_a_long_text_costs_by_its_limit() -> None:
    """The whole of it is not scanned: a tenth of a gigabyte would take seconds."""
    text = "\x1b]" * 5_000_000
    for _ in range(1000):
        assert len(clean(text, limit=80, fold=True)) == 80


def test_many_unfinished_sequences_cost_by_length_not_by_its_square() -> None:
    for piece in ("\x1b[", "\x1b]", "\x1bP", "\x90", "\x9d", "\x9b", "\x9b0;", "\x1b(", "\x1b[0;"):
        text = piece * 500_000
        clean(text, marks=False)
        assert len(strip_sequences(text)) <= len(text)


@pytest.mark.parametrize(
    "text", ["node\n1", "a\x1b[0m", "\x9b", "a\u202eb", "a\u200bb", "\ud800", "\U000e0041"]
)
def test_a_name_with_a_control_is_refused(text: str) -> None:
    assert has_control(text)


@pytest.mark.parametrize("text", ["node-1", "构建机器", "⚠\ufe0f build", "", "a b", "naïve"])
def test_an_ordinary_name_is_not(text: str) -> None:
    assert not has_control(text)


@given(POISONED)
def test_what_was_cleaned_has_no_control_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert not has_control(once)
    assert clean(once) == once
