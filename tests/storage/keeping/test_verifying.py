"""`verify` finds what does not agree, in either store, and nothing in a store that is whole."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import pytest

from runwatch_server.storage.keeping import moving
from runwatch_server.storage.postgres.connection import Connection
from tests.storage.keeping.conftest import LARGE, fill

Seed = tuple[str, str]
DEFECTS: dict[str, Seed] = {
    "an event in the middle is missing": (
        "DELETE FROM events WHERE seq = 150"
        " AND run IN (SELECT key FROM runs WHERE status = 'done')",
        "it has 305 events where 306 are kept; the first missing is 150",
    ),
    "the last event is missing": (
        "DELETE FROM events WHERE seq = 306"
        " AND run IN (SELECT key FROM runs WHERE status = 'done')",
        "it has 305 events where 306 are kept; the first missing is 306",
    ),
    "an event has another number": (
        "UPDATE events SET seq = 5000 WHERE seq = 150"
        " AND run IN (SELECT key FROM runs WHERE status = 'done')",
        "its last event is 5000, it says 306",
    ),
    "an event's run is gone": (
        "DELETE FROM runs WHERE status = 'done'",
        "there is events of a run that is not there",
    ),
    "a counter is wrong": (
        "UPDATE counters SET value = value + 1 WHERE name = 'run:status:done'",
        "counter run:status:done is 2, a recount gives 1",
    ),
    "a counter is of nothing": (
        "INSERT INTO counters(span, start_us, name, value) VALUES ('all', 0, 'run:health:odd', 3)",
        "counter run:health:odd is 3, a recount gives 0",
    ),
    "fewer events are counted than are kept": (
        "UPDATE counters SET value = value - 1 WHERE name = 'kept_events'",
        "counter kept_events is ",
    ),
    "less is counted than happened": (
        "UPDATE counters SET value = 0 WHERE name = 'tokens:input:claude-code' AND span = 'all'",
        "counter tokens:input:claude-code is 0, a recount gives ",
    ),
    "tasks are counted twice": (
        "UPDATE counters SET value = value * 2 WHERE name = 'task:status:in_progress'",
        "counter task:status:in_progress is ",
    ),
    "a total is wrong": (
        """UPDATE runs SET doc = replace(doc, '"tool_failures":1', '"tool_failures":2'),"""
        " tool_failures = 2 WHERE status = 'done'",
        "tool_failures is 2, its events give 1",
    ),
    "used tokens are wrong": (
        """UPDATE runs SET doc = replace(doc, '"output_tokens":1500', '"output_tokens":1501')""",
        "usage.output_tokens is 1501, its events give 1500",
    ),
    "the cost is wrong": (
        """UPDATE runs SET doc = replace(doc, '"cost_usd":75.0', '"cost_usd":76.0')""",
        "usage.cost_usd is 76, its events give 75",
    ),
    "a step is missing": (
        "DELETE FROM steps WHERE n = 2 AND run_id IN (SELECT id FROM runs WHERE status = 'done')",
        "it has 1 steps and counts 2, its events give 2",
    ),
    "calls of a tool are counted wrong": (
        """UPDATE run_folds SET doc = replace(doc, '"calls":1', '"calls":4')""",
        "its calls by tool are not those of its events",
    ),
    "a column says something else": (
        "UPDATE runs SET node_id = 'n7' WHERE status = 'done'",
        "column node_id is not what its document says",
    ),
    "a label is lost": ("DELETE FROM run_labels WHERE name = 'team'", "its labels are found by"),
    "retention does not know a run": ("DELETE FROM ended_runs", "retention finds it as it is not"),
    "a node counts more than it has": (
        """UPDATE nodes SET doc = replace(doc, '"active_runs":', '"active_runs":1')""",
        "node n1: active_runs is ",
    ),
    "a task counts a run that ended": (
        """UPDATE tasks SET doc = replace(doc, '"runs_active":1', '"runs_active":2')""",
        "runs_active is 2, a recount gives 1",
    ),
    "a revision is ahead of the store": (
        """UPDATE nodes SET doc = replace(doc, '"revision":', '"revision":9999')""",
        "node n1 has revision ",
    ),
    "a specification is missing": (
        "DELETE FROM run_specs WHERE run_id IN (SELECT id FROM runs WHERE status = 'done')",
        "it has no specification",
    ),
    "a lease is of an older epoch": (
        "UPDATE leases SET epoch = epoch + 7",
        "its lease is of epoch ",
    ),
}


def execute(url: str, sql: str) -> None:
    """Damage a store behind its back."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        with closing(apsw.Connection(str(Path(parts.path.removeprefix("/"))))) as raw:
            raw.execute(sql)
            assert raw.total_changes(), "nothing was damaged"
        return
    with closing(Connection.open(url)) as connection:
        status = connection.wait(connection.raw.execute(sql))
        assert not status.endswith(" 0"), "nothing was damaged"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full SQLite store with long runs, made once; copied for each defect."""
    file = tmp_path_factory.mktemp("full") / "runwatch.db"
    fill(f"sqlite:///{file}", messages=LARGE)
    return file


@pytest.fixture
def damaged(template: Path, tmp_path: Path) -> str:
    file = tmp_path / "runwatch.db"
    file.write_bytes(template.read_bytes())
    return f"sqlite:///{file}"


def test_a_whole_store_is_found_whole_and_all_of_it_was_looked_at(url: str) -> None:
    verified = moving.verify(url)
    assert verified.wrong == []
    assert verified.runs >= 9
    assert verified.events > 100
    assert 4 <= verified.refolded < verified.runs


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found_and_named(defect: str, damaged: str) -> None:
    sql, sentence = DEFECTS[defect]
    execute(damaged, sql)
    assert any(sentence in wrong for wrong in moving.verify(damaged).wrong), moving.verify(
        damaged
    ).wrong


def test_defects_are_found_in_postgresql_too(
    damaged: str, empty: Callable[[str], str], tmp_path: Path
) -> None:
    moving.export(damaged, tmp_path / "full", made_us=0, access=True)
    target = empty("postgres")
    moving.take_in(tmp_path / "full", target, now_us=1)
    named = (
        "an event in the middle is missing",
        "a counter is wrong",
        "used tokens are wrong",
        "a column says something else",
    )
    for name in named:
        execute(target, DEFECTS[name][0])
    wrong = moving.verify(target).wrong
    for name in named:
        assert any(DEFECTS[name][1] in sentence for sentence in wrong), (name, wrong)


def test_no_more_is_said_than_anybody_reads(damaged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(damaged, "DELETE FROM run_specs")
    assert len(moving.verify(damaged).wrong) > 5
    monkeypatch.setattr(moving, "MOST_WRONG", 5)
    assert len(moving.verify(damaged).wrong) == 5
