"""Columns, looks, attention and JSON: rows as text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.attention import Heading, Item, attention_keys, attention_row
from runwatch_console.columns import (
    NODE_COLUMNS,
    RUN_COLUMNS,
    ended_text,
    fit_columns,
    heartbeat_cell,
    short_id,
)
from runwatch_console.explanation import explanation
from runwatch_console.facts import head_spans, node_facts, run_facts
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.jsonlines import MAX_LINES, foldable_paths, json_lines
from runwatch_console.lens import Lens, as_ascii
from runwatch_console.locale.words import Words
from runwatch_console.looks import look_of_run
from runwatch_console.rows import node_row, run_row
from runwatch_shared.models import QueueDetail, WorkflowSummary
from tests.console.driving import is_harmless
from tests.console.records import (
    NOW_S,
    at,
    detail,
    fleet_nodes,
    fleet_rows,
    node,
    snapshot,
    stats,
    summary,
    waiting,
)

LENS = Lens(words=Words("en"), now_s=NOW_S)
STALE = Lens(words=Words("en"), now_s=NOW_S, stale=True)
FLEET = fold(Fleet(), [snapshot(fleet_rows(), fleet_nodes())])


@pytest.mark.requirement("screen.columns")
@given(st.integers(1, 260), st.sampled_from([RUN_COLUMNS, NODE_COLUMNS]))
def test_columns_fill_the_width_and_go_whole_by_priority(width: int, columns: tuple) -> None:
    fitted = fit_columns(columns, width)
    used = sum(each.width for each in fitted) + len(fitted) - 1
    kept = [each.column for each in fitted]
    must = [column for column in columns if column.priority == 0]
    assert all(column in kept for column in must)
    if kept != must:
        assert used <= width
    dropped = [column.priority for column in columns if column not in kept]
    assert not dropped or min(dropped) >= max(column.priority for column in kept)
    assert all(each.width >= each.column.width for each in fitted)


@pytest.mark.requirement("told.activity")
def test_eighty_columns_still_say_what_a_run_does() -> None:
    titles = [each.column.title for each in fit_columns(RUN_COLUMNS, 78)]
    assert {"col.state", "col.age", "col.run", "col.task", "col.now"} <= set(titles)


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (7, "exited with code 7", "exit 7"),
        (2, "exit 2", "exit 2"),
        (7, "exited with code 8", "exit 7 · exited with code 8"),
        (7, "no space left", "exit 7 · no space left"),
        (None, "exit 2", "exit 2"),
    ],
)
def test_a_code_is_told_once(code: int | None, error: str, told: str) -> None:
    failed = summary(status="failed", exit_code=code, error_code="exit_nonzero", error=error)
    assert ended_text(run_row(failed), LENS) == told


@pytest.mark.requirement("rule.glyph_word_colour", "told.status")
@pytest.mark.parametrize(
    ("row", "word"),
    [
        (summary(), "look.run"),
        (summary(waiting=waiting()), "look.wait"),
        (summary(health="looping"), "look.loop"),
        (summary(health="stalled"), "look.stall"),
        (summary(status="queued"), "look.queue"),
        (summary(status="queued", health="stuck_queued"), "look.stuck"),
        (summary(cancelling=True), "look.cancelling"),
        (summary(status="cancelled", cancelling=True), "look.cancel"),
        (summary(state="unknown"), "look.unknown"),
        (summary(state="unknown", cancelling=True), "look.unknown"),
        (summary(status="timeout"), "look.timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_run_has_one_look(row: WorkflowSummary, word: str) -> None:
    assert look_of_run(run_row(row)).word == word


@pytest.mark.parametrize(
    ("status", "more", "shown"),
    [
        ("queued", {}, "1h00m"),
        ("running", {"started_at": at(1_200)}, "20m"),
        ("running", {"started_at": at(1_200), "health": "looping", "health_since": at(60)}, "20m"),
        ("running", {"started_at": at(1_200), "waiting": waiting(since=at(180))}, "3m"),
        ("done", {"started_at": at(1_200), "end_time": at(120)}, "2m"),
    ],
)
def test_the_age_is_the_time_spent_in_the_present_state(
    status: str, more: dict[str, Any], shown: str
) -> None:
    assert _age(LENS, status, age_s=3_600, **more) == shown


def test_how_long_an_ended_run_took_stands_in_its_head_and_facts() -> None:
    row = run_row(summary("run-1", "done", age_s=3_600, started_at=at(1_200), end_time=at(120)))
    assert "took 18m00s" in "".join(text for text, _ in head_spans(row, LENS))
    assert any("took 18m00s" in fact.text for fact in run_facts(row, LENS))


@pytest.mark.requirement("rule.n_of_m")
def test_an_unreachable_node_shows_a_question_mark_and_never_zero() -> None:
    away = node_row(node(status="offline"))
    for column in NODE_COLUMNS:
        if column.title in ("col.real", "col.phantom", "col.orphan", "col.spool"):
            assert column.cell(away, LENS)[0] == "?"


def _age(lens: Lens, status: str = "running", **more: Any) -> str:
    age = next(column for column in RUN_COLUMNS if column.title == "col.age")
    return age.cell(run_row(summary(status=status, **more)), lens)[0]


def test_ages_are_lower_bounds_when_the_feed_is_late() -> None:
    assert _age(STALE, age_s=2_461) == "≥41m"
    assert _age(STALE, "done", age_s=720, end_time=at(300)) == "≥5m"
    assert heartbeat_cell(node_row(node()), STALE)[0] == "≥3s"


@pytest.mark.requirement("rule.n_of_m")
def test_unknown_cost_is_a_dash() -> None:
    cost = next(column for column in RUN_COLUMNS if column.title == "col.cost")
    assert cost.cell(run_row(summary()), LENS)[0] == "–"


def test_our_ids_are_shortened_and_others_are_not() -> None:
    assert short_id("run-8f21a0c4d2e1") == "run-8f21a0c"
    assert short_id("external:7") == "external:7"


@pytest.mark.requirement("rule.glyph_word_colour")
@given(st.text(max_size=40))
def test_ascii_has_one_character_for_each(text: str) -> None:
    drawn = as_ascii(text)
    assert drawn.isascii()
    assert len(drawn) == len(text)


# Attention.


@pytest.mark.requirement("screen.attention")
def test_attention_lists_facts_in_order_of_need() -> None:
    keys = attention_keys(FLEET, NOW_S)
    assert [key for key in keys if key.startswith("part:")] == [
        "part:needs",
        "part:unhealthy",
        "part:capacity",
    ]
    assert keys[1] == "run:run-8f21a0c4d2e1"  # it has a deadline
    assert keys.index("run:run-51aa00c4d2e1") < keys.index("run:run-90b3ffe01122")
    assert keys[-1] == "queue"


def test_old_failures_are_no_news() -> None:
    rows = [
        summary("run-1", "failed", end_time=at(3_500)),
        summary("run-2", "failed", end_time=at(3_700)),
    ]
    keys = attention_keys(fold(Fleet(), [snapshot(rows)]), NOW_S)
    assert "run:run-1" in keys
    assert "run:run-2" not in keys


@pytest.mark.requirement("rule.n_of_m")
def test_a_heading_counts_n_of_m() -> None:
    rows = [summary("run-1", waiting=waiting())]
    many = stats(workflows_by_state={"waiting": 7})
    fleet = fold(Fleet(), [snapshot(rows, stats=many)])
    row = attention_row("part:needs", attention_keys(fleet, NOW_S), fleet, LENS)
    assert isinstance(row, Heading)
    assert (row.shown, row.total) == (1, 7)
    assert "oldest" in row.note


@pytest.mark.parametrize("key", attention_keys(FLEET, NOW_S))
def test_every_row_of_attention_has_text_and_what_is_gone_has_none(key: str) -> None:
    row = attention_row(key, attention_keys(FLEET, NOW_S), FLEET, LENS)
    assert row is not None
    if isinstance(row, Item):
        assert row.why
    if key.startswith(("run:", "node:")):
        assert attention_row(key, [], Fleet(), LENS) is None


# Facts.


def test_facts_and_explanations_exist_for_every_row() -> None:
    for run in FLEET.runs.values():
        assert run_facts(run, LENS)
        assert explanation(run, None, STALE)
    for each in FLEET.nodes.values():
        assert node_facts(each, LENS)


@pytest.mark.requirement("told.queue_reason")
def test_a_queued_run_is_explained_node_by_node() -> None:
    row = summary("run-1", "queued", queue_reason="n1 full (4/4)", queue_reason_code="full")
    queue = [QueueDetail(node_id="n1", code="full", text="full (4/4)\x1b")]  # type: ignore[arg-type]
    texts = [fact.text for fact in explanation(run_row(row), detail(row, queue_detail=queue), LENS)]
    assert "n1 full (4/4)" in texts
    assert any(text.startswith("n1: full (4/4)") and text.isprintable() for text in texts)


@pytest.mark.requirement("rule.never_guess", "told.status_source")
def test_an_inferred_state_says_so() -> None:
    source = summary().status_source
    row = summary(status_source=type(source)(kind="inferred", at=at(60), note="lease expired"))
    fact = run_facts(run_row(row), LENS)[-1]
    assert "inferred" in fact.text
    assert "lease expired" in fact.text


# JSON.

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_harmless_lines_and_folds_to_less(value: object) -> None:
    lines = json_lines(value)
    assert lines
    for line in lines:
        assert is_harmless(line.key + line.text)
    folded = json_lines(value, foldable_paths(value))
    assert len(folded) <= len(lines)
    assert len({line.path for line in lines}) == len(lines)


def test_a_long_text_is_shown_in_its_lines_and_a_huge_value_is_cut() -> None:
    assert [line.text for line in json_lines({"a": "x\ny"})] == ["{", "x", "y", "}"]
    assert len(json_lines(list(range(50_000)))) == MAX_LINES + 1
