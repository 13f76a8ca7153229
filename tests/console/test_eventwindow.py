"""The bounded window onto a run's events, and the log around it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runwatch_console.eventlines import EventLine, event_line
from runwatch_console.eventwindow import EventWindow, GapLine, Line
from runwatch_console.ports import (
    Disconnected,
    EventBatch,
    Gap,
    LossReason,
    Reconnected,
    RunGone,
    RunStatus,
)
from runwatch_console.runlog import MAX_HELD_BACK, RunLog
from runwatch_shared.wire import Gap as WireGap
from tests.console.records import NOW_S, at, event, page


def lines(*seqs: int) -> list[Line]:
    return [event_line(event(seq)) for seq in seqs]


def seqs(window: EventWindow) -> list[int]:
    return [line.seq for line in window.lines]


def test_appending_beyond_the_limit_drops_the_oldest_and_says_so() -> None:
    window = EventWindow(max_events=3)
    window.replace(lines(1, 2), has_before=False, has_after=False)
    assert window.append(lines(3, 4)) == (2, 1)
    assert seqs(window) == [2, 3, 4]
    assert window.has_before


def test_what_is_held_already_is_not_added_twice() -> None:
    window = EventWindow()
    window.append(lines(1, 2, 3))
    assert window.append(lines(2, 3, 4)) == (1, 0)
    assert seqs(window) == [1, 2, 3, 4]


def test_lines_in_view_are_never_dropped_for_new_ones() -> None:
    window = EventWindow(max_events=3)
    window.replace(lines(1, 2, 3), has_before=False, has_after=False)
    assert window.append(lines(4), keep_from=0) == (0, 0)
    assert seqs(window) == [1, 2, 3]
    assert window.has_after
    assert window.newest_seq == 4


def test_an_earlier_page_pushes_out_the_end() -> None:
    window = EventWindow(max_events=4)
    window.replace(lines(5, 6, 7), has_before=True, has_after=False)
    assert window.prepend(lines(2, 3, 4), has_before=True) == 3
    assert seqs(window) == [2, 3, 4, 5]
    assert window.has_after


def test_bytes_are_bounded_too() -> None:
    big = [event_line(event(n, "message", {"content": "x" * 10_000})) for n in range(1, 9)]
    window = EventWindow(max_bytes=50_000)
    window.append(big)
    assert seqs(window)[-1] == 8
    assert 1 <= len(window.lines) <= 4


def test_a_later_page_that_live_events_overtook_leaves_no_hole_unseen() -> None:
    window = EventWindow()
    window.replace(lines(1, 2), has_before=False, has_after=True)
    window.append(lines(9))
    window.extend(lines(3, 4), has_after=False)
    assert seqs(window) == [1, 2, 3, 4]
    assert window.has_after


@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(1, 20))
@settings(deadline=None)
def test_whatever_is_appended_the_window_rises_without_repeats(
    sizes: list[int], limit: int
) -> None:
    window = EventWindow(max_events=limit)
    seq = 0
    for size in sizes:
        window.append(lines(*range(seq + 1, seq + size + 1)))
        seq += size
    held = seqs(window)
    assert held == list(range(seq - len(held) + 1, seq + 1))
    assert len(held) == min(limit, seq)


def test_events_are_found_by_seq() -> None:
    window = EventWindow()
    window.append([*lines(1, 2), GapLine(from_seq=3, to_seq=8, reason="expired"), *lines(9)])
    assert window.holds(9)
    assert not window.holds(8)
    assert window.index_at(5) == 2


# The log.


def loaded(*numbers: int, **more: Any) -> RunLog:
    log = RunLog()
    log.load(page([event(n) for n in numbers], **more))
    return log


def take(log: RunLog, *items: object, keep_from: int = 0) -> None:
    for item in items:
        log.take(item, keep_from=keep_from, server_now_s=NOW_S)  # type: ignore[arg-type]


def batch(*numbers: int, **more: Any) -> EventBatch:
    return EventBatch(events=tuple(event(n, **more) for n in numbers))


def test_a_pause_holds_events_back_and_counts_them() -> None:
    log = loaded(1, 2)
    log.pause()
    take(log, batch(3, 4))
    assert seqs(log.window) == [1, 2]
    assert log.unseen == 2
    log.resume(0)
    assert seqs(log.window) == [1, 2, 3, 4]
    assert log.unseen == 0


def test_a_pause_keeps_a_bounded_number_and_then_asks_for_a_page() -> None:
    log = loaded(1)
    log.pause()
    for start in range(2, MAX_HELD_BACK + 600, 500):
        take(log, batch(*range(start, start + 500)))
    assert log.resume(0) is None
    assert log.window.has_after
    assert log.unseen > MAX_HELD_BACK


def test_away_from_the_live_end_new_events_are_counted() -> None:
    log = loaded(1, 2)
    log.following = False
    take(log, batch(3))
    assert log.unseen == 1


def test_a_gap_is_a_line_where_the_events_would_be() -> None:
    log = loaded(1)
    take(log, Gap(from_seq=2, to_seq=9, reason="expired"), batch(10))
    assert isinstance(log.window.lines[1], GapLine)
    assert seqs(log.window) == [1, 9, 10]


def test_a_pages_gap_stands_before_its_events() -> None:
    log = RunLog()
    log.load(page([event(10)], gap=WireGap(from_seq=1, to_seq=9, reason="expired")))
    assert isinstance(log.window.lines[0], GapLine)
    assert isinstance(log.window.lines[1], EventLine)


def test_events_missed_while_disconnected_are_counted_after_the_reconnect() -> None:
    log = loaded(1)
    take(log, Disconnected(reason=LossReason.CLOSED, retry_in_s=1))
    assert log.loss is not None
    take(log, Reconnected(from_seq=1))
    assert log.loss is None
    take(log, batch(2, 3, received_at=at(5)), batch(4, received_at=at(-1)))
    assert log.caught_up == 2


def test_the_end_and_a_missing_run_are_remembered() -> None:
    log = loaded(1)
    take(log, RunStatus(status="done", last_seq=1))
    assert log.ended is not None
    take(log, RunGone(detail="no such\x1b run"))
    assert log.gone.isprintable()
