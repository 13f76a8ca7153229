"""What the command line shows of a database is what is in it."""

import json
from pathlib import Path

from runwatch_server.storage import inspecting
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.making import RULES, a_run, an_event, insert_runs, run_id, write


def test_events_with_a_text_are_printed_with_their_run(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES)
    insert_runs(store, a_run(1), a_run(2))
    write(store, lambda tx: tx.events.append(run_id(2), [an_event(1, "构建"), an_event(2)]))
    store.close()
    (line,) = inspecting.search(tmp_path / "runwatch.db", "构建", limit=5)
    found = json.loads(line)
    assert (found["run_id"], found["seq"]) == (run_id(2), 1)
