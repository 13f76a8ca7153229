"""The order in which alerts are tried, and what goes when too many wait."""

from runwatch_server.alerts.queue import AlertQueue
from runwatch_server.alerts.row import AlertRow


def alert(number: int, run_id: str = "r") -> AlertRow:
    return AlertRow(f"alert-{number}", run_id, "failed", number, number, "", b"{}")


def test_alerts_of_one_run_are_tried_in_order_and_others_pass_by() -> None:
    queue = AlertQueue(10)
    for each in (alert(1, "a"), alert(2, "a"), alert(3, "b")):
        queue.put(each)
    first = queue.take(0.0)
    assert first is not None
    queue.back(first, 60.0)
    passing = queue.take(0.0)
    assert passing is not None
    assert passing.alert.id == "alert-3"
    queue.done(passing)
    assert queue.take(59.0) is None
    assert queue.next_s() == 60.0
    again = queue.take(60.0)
    assert again is first
    assert first.attempts == 1
    queue.done(first)
    second = queue.take(60.0)
    assert second is not None
    assert second.alert.id == "alert-2"


def test_beyond_the_limit_the_oldest_go_but_not_the_one_being_sent() -> None:
    queue = AlertQueue(2)
    queue.put(alert(1))
    assert queue.take(0.0) is not None
    for number in (2, 3, 4):
        queue.put(alert(number))
    assert [gone.id for gone in queue.surplus()] == ["alert-2", "alert-3"]
    assert len(queue) == 2
    assert queue.surplus() == []
