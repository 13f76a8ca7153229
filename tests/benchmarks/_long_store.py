"""A database with one run of many events and one of few, made through the store itself."""

from pathlib import Path

import msgspec

from runwatch_server.lifespan import rules_of
from runwatch_server.rows import EventRow, RunRow, SourceRow, SpecRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store, WriteTx
from runwatch_shared.models import Agent, Level, RunId, TaskId
from runwatch_shared.settings import ServerSettings

NOW_US = 1_795_000_000_000_000
PAYLOAD_CHARS = 250
GROUP = 5000


def run_id(number: int) -> RunId:
    return RunId(f"run-{number:012x}")


def opened(folder: Path, *, sole: bool = True) -> Store:
    settings = ServerSettings(data_dir=str(folder))
    url = f"sqlite:///{folder / 'runwatch.db'}"
    return open_store(url, rules=rules_of(settings), synchronous="normal", sole=sole)


def event(seq: int, *, rare_every: int) -> EventRow:
    """A message; every so many an error."""
    rare = seq % rare_every == 0
    level: Level = "error" if rare else "info"
    payload = b'{"role":"assistant","content":"%07d %s"}' % (seq, b"x" * PAYLOAD_CHARS)
    kind = "error" if rare else "message"
    return EventRow(seq, 1, kind, NOW_US + seq, NOW_US + seq, level, payload, None)


def fill(store: Store, number: int, events: int, *, rare_every: int, batch: int = GROUP) -> None:
    """One run with so many events, that ends."""
    row = RunRow(
        id=run_id(number),
        task_id=TaskId(f"task-{number:012x}"),
        name=f"run {number}",
        status="running",
        agent_type="command",
        created_us=NOW_US,
        updated_us=NOW_US,
        started_us=NOW_US,
        epoch=1,
        source=SourceRow(kind="event", at_us=NOW_US),
    )
    spec = SpecRow(task_id=row.task_id, name=row.name, agent=Agent(type="command"), prompt="")
    _write(store, lambda tx: tx.runs.insert(row, spec))
    for first in range(1, events + 1, batch):
        last = min(events, first + batch - 1)
        rows = [event(seq, rare_every=rare_every) for seq in range(first, last + 1)]
        _write(store, lambda tx, rows=rows: _append(tx, row.id, rows))
        store.tidy(idle=True)  # type: ignore[attr-defined]
    _write(store, lambda tx: _end(tx, row.id))


def _append(tx: WriteTx, key: str, rows: list[EventRow]) -> None:
    before = tx.runs.get(key)
    assert before is not None
    count = before.event_count + len(rows)
    after = msgspec.structs.replace(before, last_seq=rows[-1].seq, event_count=count)
    tx.runs.save(before, after)
    tx.events.append(key, rows)


def _end(tx: WriteTx, key: str) -> None:
    before = tx.runs.get(key)
    assert before is not None
    tx.runs.save(before, msgspec.structs.replace(before, status="done", finished_us=NOW_US))


def _write(store: Store, work: object) -> None:
    (outcome,), _ = store.write_group([work], NOW_US)  # type: ignore[list-item]
    if outcome.error is not None:
        raise outcome.error
