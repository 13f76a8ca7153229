"""The state of the connection."""

import pytest

from runwatch_console.folding import next_link
from runwatch_console.link import Link, LinkState
from runwatch_console.ports import Connected, Connecting, Disconnected, Frame, LossReason
from tests.console.records import NOW_S, heartbeat, hello


def connected(at_s: float = 100.0, **more: object) -> Link:
    link = next_link(Link(), Connecting(attempt=1), at_s)
    return next_link(link, Connected(hello=hello(**more)), at_s)


def test_before_anything_arrived_it_is_connecting() -> None:
    assert Link().state(0.0) is LinkState.CONNECTING
    assert next_link(Link(), Connecting(attempt=3), 1.0).state(1.0) is LinkState.CONNECTING


@pytest.mark.requirement("state.late")
def test_it_is_late_after_three_heartbeats_and_live_again_with_the_next_frame() -> None:
    link = connected(100.0)
    assert link.state(115.0) is LinkState.LIVE
    assert link.state(115.1) is LinkState.LATE
    link = next_link(link, Frame(frame=heartbeat()), 116.0)
    assert link.state(116.0) is LinkState.LIVE


def test_the_servers_clock_runs_on_while_live_and_stands_still_otherwise() -> None:
    link = connected(100.0)
    assert link.server_now_s(110.0) == NOW_S + 10
    assert link.server_now_s(160.0) == NOW_S
    lost = next_link(link, Disconnected(reason=LossReason.CLOSED, retry_in_s=8), 103.0)
    assert lost.server_now_s(500.0) == NOW_S


def test_failing_attempts_do_not_move_the_beginning_of_the_loss() -> None:
    link = connected(100.0)
    link = next_link(link, Disconnected(reason=LossReason.CLOSED, retry_in_s=1), 103.0)
    link = next_link(link, Connecting(attempt=1), 104.0)
    assert link.state(104.0) is LinkState.LOST
    link = next_link(link, Disconnected(reason=LossReason.REFUSED, retry_in_s=8), 105.0)
    assert link.lost_mono_s == 103.0
    assert link.retry_mono_s == 113.0
    assert link.loss is not None
    assert link.loss.reason is LossReason.REFUSED


def test_a_reconnect_ends_the_loss_and_remembers_whether_it_resumed() -> None:
    link = next_link(connected(), Disconnected(reason=LossReason.CLOSED, retry_in_s=1), 103.0)
    link = next_link(link, Connected(hello=hello(resumed=True)), 110.0)
    assert link.state(110.0) is LinkState.LIVE
    assert link.resumed
    assert link.lost_mono_s is None
    assert link.reconnected_mono_s == 110.0


def test_only_operators_may_write_and_before_hello_nothing_is_assumed() -> None:
    assert not Link().read_only
    assert connected(scope="viewer").read_only
    assert not connected(scope="operator").read_only


def test_what_the_other_side_says_of_a_loss_is_cleaned() -> None:
    loss = Disconnected(
        reason=LossReason.REFUSED, detail="no\x1b]0;x\x07\nway", fingerprint="\x9bAB", retry_in_s=1
    )
    link = next_link(Link(), loss, 0.0)
    assert link.loss is not None
    assert link.loss.detail.isprintable()
    assert (link.loss.fingerprint or "").isprintable()
