"""Pages of some types and levels: what looking at every event would give, without looking."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_server.rows import EventRow
from runwatch_server.storage.memory import MemoryStore
from runwatch_server.storage.protocols import EventQuery, Store, WriteTx
from runwatch_server.storage.sqlite.store import SqliteStore
from runwatch_shared.errors import ConflictError
from tests.storage.making import (
    RULES,
    a_run,
    a_spec,
    an_event,
    committed,
    insert_runs,
    run_id,
    write,
)

TYPES = ("message", "error", "x_mine", "warning")
LEVELS = ("info", "error", "warning", "success")

EVENTS = st.lists(
    st.tuples(st.sampled_from((1, 1, 1, 7, 300)), st.sampled_from(TYPES), st.sampled_from(LEVELS)),
    min_size=1,
    max_size=40,
)


def rows_of(steps: list[tuple[int, str, str]], last: int) -> list[EventRow]:
    events = []
    for step, kind, level in steps:
        last += step
        events.append(an_event(last, type=kind, level=level))
    return events


@settings(max_examples=120, deadline=None)
@given(
    batches=st.lists(EVENTS, min_size=1, max_size=6),
    types=st.one_of(st.none(), st.lists(st.sampled_from((*TYPES, "x_other")), min_size=1)),
    levels=st.one_of(st.none(), st.lists(st.sampled_from(LEVELS), min_size=1)),
    at=st.integers(0, 3000),
    limit=st.integers(1, 12),
    removed=st.integers(0, 60),
    unmarked=st.booleans(),
)
def test_a_filtered_page_is_that_of_looking_at_every_event(
    batches: list[list[tuple[int, str, str]]],
    types: list[str] | None,
    levels: list[str] | None,
    at: int,
    limit: int,
    removed: int,
    unmarked: bool,
) -> None:
    store = MemoryStore.make(RULES)
    try:
        insert_runs(store, a_run(1))
        stored: list[EventRow] = []
        for index, batch in enumerate(batches):
            events = rows_of(batch, stored[-1].seq if stored else 0)
            write(store, lambda tx, events=events: tx.events.append(run_id(1), events))
            stored += events
            if unmarked and index == 0:
                forget_blocks(store)
        if removed:
            write(store, lambda tx: tx.events.remove_oldest(run_id(1), limit=removed))
            stored = stored[removed:]
        fitting = [
            event.seq
            for event in stored
            if (types is None or event.type in types) and (levels is None or event.level in levels)
        ]
        wanted = {
            "after_seq": [seq for seq in fitting if seq > at][:limit],
            "before_seq": [seq for seq in fitting if seq < at][-limit:],
            "tail": fitting[-limit:],
        }
        for name, seqs in wanted.items():
            found = page(store, limit, types, levels, **{name: True if name == "tail" else at})
            assert [event.seq for event in found.events] == seqs, name
            assert found.scanned_to_seq is None
    finally:
        store.close()


def forget_blocks(store: Any) -> None:
    """As if these events had been stored before blocks were kept."""
    store._writer.raw.execute("DELETE FROM event_blocks").fetchall()
    store._transaction._context.forget_all()


def page(
    store: Store,
    limit: int,
    types: list[str] | None,
    levels: list[str] | None,
    scan: int = 100_000,
    **position: Any,
) -> Any:
    query = EventQuery(
        run_id=run_id(1),
        limit=limit,
        types=None if types is None else tuple(types),
        levels=None if levels is None else tuple(levels),
        filter_scan_limit=scan,
        **position,
    )
    with store.read() as tx:
        return tx.events.page(query)


def filled(store: Store, events: int, *, odd: dict[int, dict[str, str]]) -> None:
    insert_runs(store, a_run(1))
    rows = [an_event(seq, **odd.get(seq, {})) for seq in range(1, events + 1)]
    write(store, lambda tx: tx.events.append(run_id(1), rows))


def test_what_failed_half_done_leaves_no_mark_behind(store: Store) -> None:
    filled(store, 10, odd={})

    def fails(tx: WriteTx) -> None:
        tx.events.append(run_id(1), [an_event(11, type="error", level="error")])
        raise ConflictError("no")

    outcomes, _ = store.write_group([fails, lambda tx: tx.runs.insert(a_run(2), a_spec())], 1)
    assert outcomes[0].error is not None
    committed(store, lambda tx: tx.events.append(run_id(1), [an_event(11, type="error")]))
    assert [e.seq for e in page(store, 9, ["error"], None, after_seq=0).events] == [11]


def test_types_and_levels_that_never_meet_stop_at_the_limit_and_say_where(store: Store) -> None:
    odd = {seq: {"type": "error"} for seq in range(1, 2001, 50)}
    odd |= {seq: {"level": "error"} for seq in range(2, 2001, 50)}
    filled(store, 2000, odd=odd)
    found = page(store, 5, ["error"], ["error"], scan=512, after_seq=0)
    assert (found.events, found.scanned_to_seq) == ([], 511)
    going_on = page(store, 5, ["error"], ["error"], scan=512, after_seq=found.scanned_to_seq)
    assert going_on.scanned_to_seq == 1023
    upward = page(store, 5, ["error"], ["error"], scan=512, before_seq=1601)
    assert upward.scanned_to_seq is not None
    assert 1000 < upward.scanned_to_seq < 1400


def test_a_rare_event_is_found_without_looking_at_the_others(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "runwatch.db", RULES, synchronous="normal")
    filled(store, 20_000, odd={17_777: {"type": "error", "level": "error"}})
    steps = 0

    with store.read() as tx:
        connection = tx._connection.raw  # type: ignore[attr-defined]

        def count() -> bool:
            nonlocal steps
            steps += 1
            return False

        connection.set_progress_handler(count, 100)
        for position in ({"after_seq": 0}, {"tail": True}, {"before_seq": 20_000}):
            found = tx.events.page(
                EventQuery(run_id=run_id(1), levels=("error",), limit=100, **position)
            )
            assert [event.seq for event in found.events] == [17_777]
    store.close()
    # Looking at all of them three times takes 6,000 hundreds of the machine's steps and more.
    assert steps < 300
