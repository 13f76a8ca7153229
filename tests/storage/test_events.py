"""Events in every store: appended in their order, read by position, searched within a bound."""

import pytest

from runwatch_server.rows import EventRow
from runwatch_server.storage.protocols import EventQuery, Store
from runwatch_shared.errors import ConflictError
from tests.storage.making import a_run, an_event, committed, insert_runs, run_id, write


def append(store: Store, run: int, *events: EventRow) -> None:
    write(store, lambda tx: tx.events.append(run_id(run), events))


def seqs(store: Store, **position: object) -> list[int]:
    with store.read() as tx:
        rows = tx.events.page(EventQuery(run_id=run_id(1), **position))  # type: ignore[arg-type]
    return [event.seq for event in rows.events]


@pytest.fixture
def run(store: Store) -> Store:
    insert_runs(store, a_run(1), a_run(2))
    append(store, 1, *(an_event(seq) for seq in range(1, 11)))
    append(store, 2, an_event(1, "of another run"))
    return store


def test_an_event_is_read_exactly_as_it_came(store: Store) -> None:
    insert_runs(store, a_run(1))
    given = [
        an_event(1, payload=b'{"a":1.0,  "b":"\\u00e9"}', raw='{"line": "\U0001f680"}'),
        an_event(2, payload=None, level="error", type="x_custom"),
        an_event(7, epoch=3, payload=b"{}", raw=""),
    ]
    append(store, 1, *given)
    with store.read() as tx:
        assert tx.events.between(run_id(1), 1, 100) == given
        assert tx.events.between(run_id(1), 2, 6) == given[1:2]
        without_raw = tx.events.page(EventQuery(run_id=run_id(1))).events
        with_raw = tx.events.page(EventQuery(run_id=run_id(1), raw=True)).events
    assert [event.raw for event in without_raw] == [None, None, None]
    assert with_raw == given


@pytest.mark.parametrize("size", [1, 2, 3, 100, 127, 128, 129, 300])
def test_a_batch_of_any_size_is_stored_whole(store: Store, size: int) -> None:
    insert_runs(store, a_run(1))
    events = [an_event(seq) for seq in range(1, size + 1)]
    append(store, 1, *events)
    with store.read() as tx:
        assert tx.events.between(run_id(1), 0, 2**62) == events


def test_an_event_is_never_stored_twice(run: Store) -> None:
    with pytest.raises(ConflictError):
        append(run, 1, an_event(11), an_event(10, "changed"))
    assert seqs(run)[-1] == 10


def test_events_of_a_run_that_is_not_there_are_refused(store: Store) -> None:
    with pytest.raises(ConflictError):
        append(store, 9, an_event(1))


def test_the_commit_carries_the_events_as_they_were_appended(store: Store) -> None:
    insert_runs(store, a_run(1))
    first, second = [an_event(1, raw="r"), an_event(2)], [an_event(5)]

    def work(tx):
        tx.events.append(run_id(1), first)
        tx.events.append(run_id(1), second)

    _, commit = committed(store, work)
    assert commit is not None
    assert commit.events == {run_id(1): [*first, *second]}


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"after_seq": 0}, [1, 2, 3]),
        ({"after_seq": 4}, [5, 6, 7]),
        ({"after_seq": 9}, [10]),
        ({"after_seq": 10}, []),
        ({"before_seq": 6}, [3, 4, 5]),
        ({"before_seq": 2}, [1]),
        ({"before_seq": 1}, []),
        ({"tail": True}, [8, 9, 10]),
        ({"after_seq": 3, "before_seq": 6}, [4, 5]),
    ],
)
def test_a_page_is_rising_whatever_the_direction_of_reading(
    run: Store, position: dict[str, object], expected: list[int]
) -> None:
    assert seqs(run, limit=3, **position) == expected


def test_types_and_levels_are_filtered_before_the_limit(store: Store) -> None:
    insert_runs(store, a_run(1))
    kinds = ["message", "error", "warning"]
    append(
        store,
        1,
        *(
            an_event(seq, type=kinds[seq % 3], level="error" if seq % 2 else "info")
            for seq in range(1, 13)
        ),
    )
    assert seqs(store, types=("error",), limit=2) == [1, 4]
    assert seqs(store, types=("error", "warning"), tail=True, limit=3) == [8, 10, 11]
    assert seqs(store, levels=("error",), types=("error",)) == [1, 7]
    assert seqs(store, types=()) == []


def test_reading_on_stops_at_the_limit_of_events_and_of_bytes(run: Store) -> None:
    size = len(an_event(1).payload or b"")

    def after(seq: int, limit: int, max_bytes: int) -> list[int]:
        with run.read() as tx:
            events = tx.events.after(run_id(1), seq, limit=limit, max_bytes=max_bytes, raw=False)
        return [event.seq for event in events]

    assert after(0, 4, 10**6) == [1, 2, 3, 4]
    assert after(2, 100, 3 * size) == [3, 4, 5]
    assert after(2, 100, 1) == [3], "one event always fits"
    assert after(10, 100, 10**6) == []


def test_the_agents_own_line_counts_in_the_bytes_read_and_comes_only_where_asked(
    store: Store,
) -> None:
    insert_runs(store, a_run(1))
    append(store, 1, *(an_event(seq, raw="x" * 1000) for seq in range(1, 5)))
    with store.read() as tx:
        with_raw = tx.events.after(run_id(1), 0, limit=10, max_bytes=2500, raw=True)
        without = tx.events.after(run_id(1), 0, limit=10, max_bytes=2500, raw=False)
    assert [len(event.raw or "") for event in with_raw] == [1000, 1000]
    assert [event.raw for event in without] == [None] * 4


@pytest.mark.parametrize(
    ("payload", "q", "found"),
    [
        (b'{"content":"Hello World"}', "hello w", True),
        (b'{"content":"Hello World"}', "goodbye", False),
        ('{"content":"Größe"}'.encode(), "GRÖSSE", True),
        (b'{"content":"Gr\\u00f6\\u00dfe"}', "größe", True),
        ('{"content":"你好，世界"}'.encode(), "世界", True),
        (b'{"content":"\\u4e16\\u754c"}', "世界", True),
        (b'{"content":"say \\"hi\\" now"}', 'say "hi"', True),
        (b'{"a":{"b":["deep \\\\ down"]}}', "deep \\ down", True),
        (b'{"a":"100%"}', "100%", True),
        (b'{"a":"100 of"}', "100%", False),
        (None, "x", False),
    ],
)
def test_a_word_is_found_in_the_text_a_payload_means(
    store: Store, payload: bytes | None, q: str, found: bool
) -> None:
    insert_runs(store, a_run(1))
    append(store, 1, an_event(1, payload=payload))
    assert seqs(store, q=q) == ([1] if found else [])


def test_a_search_says_how_far_it_came_when_it_had_to_stop(store: Store) -> None:
    insert_runs(store, a_run(1))
    append(store, 1, *(an_event(seq, "odd" if seq % 2 else "even") for seq in range(1, 11)))

    def search(q: str, **more: object) -> tuple[list[int], int | None]:
        query = EventQuery(run_id=run_id(1), q=q, **more)  # type: ignore[arg-type]
        with store.read() as tx:
            rows = tx.events.page(query)
        return [event.seq for event in rows.events], rows.scanned_to_seq

    assert search("even", limit=2) == ([2, 4], None)
    assert search("nowhere", scan_limit=4) == ([], 4)
    assert search("odd", scan_limit=4) == ([1, 3], 4)
    assert search("even", scan_limit=3, tail=True) == ([8, 10], 8)
    assert search("even", scan_limit=10) == ([2, 4, 6, 8, 10], None)
    assert search("odd", after_seq=4, scan_limit=100) == ([5, 7, 9], None)
    assert search("even", before_seq=7, limit=1) == ([6], None)


def test_the_oldest_events_are_removed_and_the_last_that_went_is_named(run: Store) -> None:
    append(run, 1, an_event(40), an_event(90))
    assert write(run, lambda tx: tx.events.remove_oldest(run_id(1), limit=10)) == (10, 10)
    assert seqs(run) == [40, 90]
    assert write(run, lambda tx: tx.events.remove_oldest(run_id(1), limit=2)) == (2, 90)
    assert write(run, lambda tx: tx.events.remove_oldest(run_id(1), limit=2)) == (0, None)
    with run.read() as tx:
        assert len(tx.events.between(run_id(2), 1, 9)) == 1
