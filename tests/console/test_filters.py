"""The filter language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.filters import ANY, FIELDS, STATES, FilterError, filter_problem, parse_filter
from runwatch_console.locale.words import Words
from runwatch_console.rows import RunRow, run_row
from tests.console.records import NOW_S, at, summary, usage, waiting

RUNS = [
    run_row(row)
    for row in (
        summary("run-a", name="docs", node_id="n2", age_s=7_200, usage=usage(900, 1.5)),
        summary("run-b", "queued", name="tests", node_id=None, age_s=60),
        summary("run-c", name="deploy", waiting=waiting(), agent_type="openai-codex"),
        summary("run-d", "failed", name="two words", exit_code=137, labels={"team": "web"}),
        summary("run-e", health="looping", tool_failures=14, last_activity_at=at(400)),
        summary("run-f", "done", name="发布"),
    )
]


def matched(text: str, runs: list[RunRow] | None = None) -> str:
    chosen = parse_filter(text)
    return "".join(run.id[-1] for run in runs or RUNS if chosen.matches(run, NOW_S))


@pytest.mark.requirement("keys.filter")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "abcdef"),
        ("s:wait", "c"),
        ("s:wait,queue", "bc"),
        ("s:active", "abce"),
        ("s:fail", "d"),
        ("s:sick", "e"),
        ("!s:active", "df"),
        ("age>1h", "a"),
        ("age<=1m", "bdf"),
        ("silent>5m", "e"),
        ("wait>5m", "c"),
        ("cost>1", "a"),
        ("cost>$1", "a"),
        ("tok<1k", "a"),
        ("fails>=14", "e"),
        ("exit:137", "d"),
        ("node:n2", "a"),
        ("node:", "b"),
        ("agent:codex", "c"),
        ("label:team", "d"),
        ("label:team=web", "d"),
        ("label:team=ops", ""),
        ("DOCS", "a"),
        ("!docs s:active", "bce"),
        ('"two words"', "d"),
        ("发布", "f"),
        ("s:wa", "c"),
    ],
)
def test_a_filter_matches_exactly_its_rows(text: str, expected: str) -> None:
    assert matched(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nope:1", "filter.unknown_field"),
        ("s:nope", "filter.unknown_state"),
        ("age>soon", "filter.not_an_age"),
        ("cost>lots", "filter.not_a_number"),
    ],
)
def test_a_term_that_means_nothing_is_refused_with_what_was_expected(
    text: str, expected: str
) -> None:
    with pytest.raises(FilterError) as raised:
        parse_filter(f"docs {text}")
    assert raised.value.expected == expected
    assert raised.value.term == text


def test_a_term_still_being_typed_does_not_count() -> None:
    assert parse_filter("docs s:", typing=True).matches(RUNS[0], NOW_S)
    assert parse_filter("docs age>", typing=True).matches(RUNS[0], NOW_S)
    with pytest.raises(FilterError):
        parse_filter("s:")


def test_an_open_quote_is_taken_as_words() -> None:
    assert matched('"two') == "d"


def test_only_filters_on_ages_are_timed() -> None:
    assert parse_filter("age>1h").timed
    assert not parse_filter("s:wait docs").timed
    assert not ANY


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        chosen = parse_filter(text)
    except FilterError:
        return
    for run in RUNS:
        assert chosen.matches(run, NOW_S) in (True, False)


@given(st.sampled_from(STATES), st.sampled_from(RUNS))
def test_a_term_and_its_inverse_split_the_rows(state: str, run: RunRow) -> None:
    assert parse_filter(f"s:{state}").matches(run, NOW_S) != parse_filter(f"!s:{state}").matches(
        run, NOW_S
    )


def test_every_field_is_usable() -> None:
    for field in FIELDS:
        for value in ("1", "1s", "wait"):
            try:
                parse_filter(f"{field}:{value}")
            except FilterError:
                continue
            break
        else:
            pytest.fail(f"{field} takes no value")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("docs agee>1h", ("agee>1h", "age", "cost", "took")),
        ("s:waitng", ("s:waitng", "waiting", "queue")),
        ("age>1y", ("age>1y", "15m")),
        ("cost>much", ("cost>much", "0.5")),
    ],
)
def test_a_filter_that_means_nothing_is_named_with_what_is_allowed(
    text: str, parts: tuple[str, ...], language: str
) -> None:
    with pytest.raises(FilterError) as raised:
        parse_filter(text)
    said = filter_problem(raised.value, Words(language))
    assert [part for part in parts if part not in said] == []
