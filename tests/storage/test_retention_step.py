"""A database from before retention was kept by numbers gets them from what it holds."""

from pathlib import Path

import apsw

from runwatch_server.rows import Size
from runwatch_server.storage.protocols import EventQuery, WriteTx
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.making import NOW_US, RULES, a_run, an_event, insert_runs, run_id, write

STEP = (
    Path(__file__).resolve().parents[2]
    / "server/runwatch_server/storage/queries/sqlite/schema/0003_retention.sql"
)


def test_ended_runs_and_stored_events_are_known_after_the_step(tmp_path: Path) -> None:
    file = tmp_path / "runwatch.db"
    store = SqliteStore.open(file, RULES)
    ended = {"status": "done", "last_seq": 2, "event_count": 2}
    insert_runs(
        store,
        a_run(1, finished_us=NOW_US + 5, **ended),
        a_run(2, finished_us=NOW_US + 4, first_seq=3, **ended),
        a_run(3, status="running", last_seq=1, event_count=1),
        a_run(4, finished_us=NOW_US + 3, **ended),
    )

    def fill(tx: WriteTx) -> None:
        for number in (1, 4):
            tx.events.append(run_id(number), [an_event(1), an_event(2, type="error")])
        tx.events.append(run_id(3), [an_event(1)])

    write(store, fill)
    store.close()
    raw = apsw.Connection(str(file))
    for table in ("ended_runs", "event_blocks", "prunes"):
        raw.execute(f"DROP TABLE {table}")
    raw.execute("DELETE FROM counters WHERE name = 'kept_events'")
    raw.execute(STEP.read_text()).fetchall()
    raw.close()
    store = SqliteStore.open(file, RULES)
    with store.read() as tx:
        size: Size = tx.size()
        assert size.events == 5
        assert [row.id for row in tx.runs.ended(with_events=True)] == [run_id(4), run_id(1)]
        assert [row.id for row in tx.runs.ended(with_events=False)] == [
            run_id(4),
            run_id(2),
            run_id(1),
        ]
        found = tx.events.page(EventQuery(run_id=run_id(1), types=("error",), after_seq=0))
        assert [event.seq for event in found.events] == [2]
    store.close()
