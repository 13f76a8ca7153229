"""Sessions known by telemetry in the store, and runs found by their agent's session."""

from pathlib import Path

import apsw
import msgspec

from runwatch_server.otlp.row import StreamRow, TelemetryRow
from runwatch_server.storage.protocols import Store
from runwatch_server.storage.sqlite.store import SqliteStore
from tests.storage.making import NOW_US, RULES, a_run, insert_runs, run_id, write

STEP = (
    Path(__file__).resolve().parents[2]
    / "server/runwatch_server/storage/queries/sqlite/schema/0005_telemetry.sql"
)
SESSION = TelemetryRow(agent_type="claude-code", session_id="s1", last_us=NOW_US)


def of_session(store: Store, session_id: str) -> list[str]:
    with store.read() as tx:
        return [row.id for row in tx.runs.of_session(session_id, limit=10)]


def test_runs_are_found_by_their_session_newest_first_and_by_no_other(store: Store) -> None:
    insert_runs(
        store,
        a_run(1, agent_session_id="s1", created_us=NOW_US),
        a_run(2, agent_session_id="s1", created_us=NOW_US + 1),
        a_run(3, agent_session_id="s2"),
        a_run(4),
    )
    assert of_session(store, "s1") == [run_id(2), run_id(1)]

    def name(tx):
        row = tx.runs.get(run_id(4))
        tx.runs.save(row, msgspec.structs.replace(row, agent_session_id="s2"))
        tx.runs.delete(tx.runs.get(run_id(3)))

    write(store, name)
    assert of_session(store, "s2") == [run_id(4)]
    assert of_session(store, "s3") == []


def test_a_database_from_before_knows_the_sessions_of_its_runs_after_the_step(
    tmp_path: Path,
) -> None:
    file = tmp_path / "runwatch.db"
    store = SqliteStore.open(file, RULES)
    insert_runs(store, a_run(1, agent_session_id="s1"), a_run(2))
    store.close()
    raw = apsw.Connection(str(file))
    raw.execute("DROP INDEX runs_of_session")
    raw.execute("ALTER TABLE runs DROP COLUMN agent_session_id")
    raw.execute("DROP TABLE telemetry")
    raw.execute("DROP TABLE telemetry_seen")
    raw.execute(STEP.read_text()).fetchall()
    raw.close()
    store = SqliteStore.open(file, RULES)
    assert of_session(store, "s1") == [run_id(1)]
    store.close()


def test_a_session_comes_back_as_it_was_put(store: Store) -> None:
    told = msgspec.structs.replace(
        SESSION,
        run_id=run_id(1),
        told={"input_tokens": 7, "cost_usd": 0.25},
        streams={"a": StreamRow(5, "input", 2.5)},
        due_us=NOW_US + 5,
    )
    first = write(store, lambda tx: tx.telemetry.put(told))
    assert first.key > 0
    found = write(store, lambda tx: tx.telemetry.get("claude-code", "s1"))
    assert found == first
    later = msgspec.structs.replace(first, seen=4, due_us=None)
    write(store, lambda tx: tx.telemetry.put(later))
    assert write(store, lambda tx: tx.telemetry.get("claude-code", "s1")) == later
    assert write(store, lambda tx: tx.telemetry.get("codex", "s1")) is None


def test_sessions_are_due_in_their_order_and_not_before(store: Store) -> None:
    def put(tx):
        for number, due_us in enumerate((NOW_US + 9, NOW_US + 3, None, NOW_US + 20)):
            row = msgspec.structs.replace(SESSION, session_id=f"s{number}", due_us=due_us)
            tx.telemetry.put(row)

    write(store, put)
    due = write(store, lambda tx: tx.telemetry.due(NOW_US + 10, limit=10))
    assert [row.session_id for row in due] == ["s1", "s0"]


def test_a_record_is_new_once_and_again_when_it_was_forgotten(store: Store) -> None:
    row = write(store, lambda tx: tx.telemetry.put(SESSION))
    other = msgspec.structs.replace(SESSION, session_id="s2")
    other = write(store, lambda tx: tx.telemetry.put(other))
    most = 2**63 - 1
    assert write(store, lambda tx: tx.telemetry.remember(row, [1, 2, 1, most])) == [
        True,
        True,
        False,
        True,
    ]
    row = msgspec.structs.replace(row, seen=3)
    assert write(store, lambda tx: tx.telemetry.remember(row, [most, 3])) == [False, True]
    assert write(store, lambda tx: tx.telemetry.remember(other, [1])) == [True]
    write(store, lambda tx: tx.telemetry.forget(row, up_to=2))
    assert write(store, lambda tx: tx.telemetry.remember(row, [most, 1])) == [False, True]


def test_only_sessions_with_nothing_left_to_do_are_removed(store: Store) -> None:
    active = msgspec.structs.replace(SESSION, session_id="s2", due_us=NOW_US)
    row = write(store, lambda tx: tx.telemetry.put(SESSION))
    write(store, lambda tx: tx.telemetry.put(active))
    write(store, lambda tx: tx.telemetry.remember(row, [1]))
    assert write(store, lambda tx: tx.telemetry.prune(NOW_US, limit=10)) == 0
    assert write(store, lambda tx: tx.telemetry.prune(NOW_US + 1, limit=10)) == 1
    assert write(store, lambda tx: tx.telemetry.get("claude-code", "s1")) is None
    assert write(store, lambda tx: tx.telemetry.get("claude-code", "s2")) is not None
    again = write(store, lambda tx: tx.telemetry.put(SESSION))
    assert write(store, lambda tx: tx.telemetry.remember(again, [1])) == [True]
