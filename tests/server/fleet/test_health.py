"""Health flags by the table of contract 6.3, and when a run must be looked at next."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server.health import due_us, judge
from runwatch_server.rows import CancelRow, RunRow, WaitRow
from runwatch_shared.models import RunStatus
from runwatch_shared.settings import HealthThresholds, ServerSettings
from tests.server.domain.making import NOW_US, SECOND_US, run_row

MINUTE_US = 60 * SECOND_US
THRESHOLDS = HealthThresholds()
SETTINGS = ServerSettings()


def ago(minutes: float) -> int:
    return NOW_US - round(minutes * MINUTE_US)


def wait(minutes: float) -> WaitRow:
    return WaitRow(kind="approval", since_us=ago(minutes), prompt="?", seq=1)


QUEUED: dict[str, Any] = {
    "status": "queued",
    "lease_kind": None,
    "started_us": None,
    "claimed_us": None,
    "assigned_us": None,
}

CASES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "active": ({"last_activity_us": ago(4.9)}, "ok", None),
    "silent": (
        {"last_activity_us": ago(5), "started_us": ago(9)},
        "stalled",
        "silent over 5m, no tool in flight",
    ),
    "never active": ({"started_us": ago(5)}, "stalled", "silent over 5m, no tool in flight"),
    "silent with a tool open": (
        {"last_activity_us": ago(30), "started_us": ago(40), "open_tools": 1},
        "ok",
        None,
    ),
    "long": ({"last_activity_us": ago(1), "started_us": ago(45)}, "slow", "running over 45m"),
    "long, but it waited": (
        {"last_activity_us": ago(1), "started_us": ago(50), "waited_us": 6 * MINUTE_US},
        "ok",
        None,
    ),
    "silent and long": (
        {"last_activity_us": ago(6), "started_us": ago(60)},
        "stalled",
        "silent over 5m, no tool in flight",
    ),
    "looping": (
        {"looping": "same Bash call 6 of last 12", "started_us": ago(60)},
        "looping",
        "same Bash call 6 of last 12",
    ),
    "looping in a tool whose name is no name": (
        {"looping": "same rm -rf / call 4 of last 4"},
        "looping",
        "same tool call 4 of last 4",
    ),
    "queued": ({**QUEUED, "created_us": ago(9.9)}, "ok", None),
    "stuck": ({**QUEUED, "created_us": ago(10)}, "stuck_queued", "queued over 10m"),
    "stuck, assigned": (
        {"status": "assigned", "created_us": ago(11)},
        "stuck_queued",
        "queued over 10m",
    ),
    "waiting": ({"wait": wait(59), "started_us": ago(90)}, "ok", None),
    "waiting long": (
        {"wait": wait(60), "looping": "same Bash call 4 of last 4"},
        "waiting_long",
        "waiting over 1h",
    ),
    "ended": ({"status": "failed", "looping": "same Bash call 4 of last 4"}, "ok", None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_has_the_first_flag_that_holds(case: str) -> None:
    changes, flag, reason = CASES[case]
    row = run_row(**changes)
    judged = judge(row, NOW_US, THRESHOLDS)
    assert (judged.health, judged.health_reason) == (flag, reason)
    assert judged.health_since_us == (None if flag == "ok" else NOW_US)
    assert (judged is row) == (flag == "ok")
    assert judge(judged, NOW_US + 1, THRESHOLDS) is judged


def test_a_flag_is_cleared_with_its_reason_when_it_no_longer_holds() -> None:
    stalled = judge(run_row(started_us=ago(6)), NOW_US, THRESHOLDS)
    active = msgspec.structs.replace(stalled, last_activity_us=NOW_US)
    cleared = judge(active, NOW_US, THRESHOLDS)
    assert (cleared.health, cleared.health_reason, cleared.health_since_us) == ("ok", None, None)


def test_reasons_name_the_thresholds_that_are_set() -> None:
    thresholds = HealthThresholds(stalled_s=90, slow_s=7200)
    assert judge(run_row(started_us=ago(3)), NOW_US, thresholds).health_reason == (
        "silent over 90s, no tool in flight"
    )
    slow = run_row(started_us=ago(120), last_activity_us=NOW_US)
    assert judge(slow, NOW_US, thresholds).health_reason == "running over 2h"


DUE: dict[str, tuple[dict[str, Any], int | None]] = {
    "ended": ({"status": "done", "finished_us": NOW_US, "last_seq": 3, "event_count": 3}, None),
    "queued": ({**QUEUED, "created_us": NOW_US}, NOW_US + 10 * MINUTE_US),
    "queued, stuck already": ({**QUEUED, "health": "stuck_queued"}, None),
    "assigned, unclaimed": (
        {**QUEUED, "status": "assigned", "assigned_us": NOW_US, "created_us": NOW_US},
        NOW_US + 30 * SECOND_US,
    ),
    "deadline": ({"deadline_us": NOW_US + 7}, NOW_US + 7),
    "cancel requested": (
        {"cancel": CancelRow(requested_us=NOW_US, reason="user", by="x"), "deadline_us": NOW_US},
        NOW_US + MINUTE_US,
    ),
    "cancel delivered": (
        {"cancel": CancelRow(requested_us=NOW_US, reason="user", by="x", delivered_us=NOW_US + 5)},
        NOW_US + 5 + MINUTE_US,
    ),
    "lease over": (
        {"lease_ended_us": NOW_US, "health": "looping"},
        NOW_US + 24 * 60 * MINUTE_US,
    ),
    "lease over, may be retried": (
        {"lease_ended_us": NOW_US, "retry_on_lost": True},
        NOW_US + 15 * SECOND_US,
    ),
    "running": ({"started_us": NOW_US}, NOW_US + 5 * MINUTE_US),
    "tool open": ({"started_us": NOW_US, "open_tools": 2}, NOW_US + 45 * MINUTE_US),
    "slow already": (
        {"started_us": ago(50), "last_activity_us": NOW_US, "health": "slow"},
        NOW_US + 5 * MINUTE_US,
    ),
    "waiting": ({"wait": wait(0)}, NOW_US + 60 * MINUTE_US),
    "waiting long already": ({"wait": wait(70), "health": "waiting_long"}, None),
}


@pytest.mark.parametrize("case", DUE)
def test_a_run_is_due_at_the_first_moment_something_may_change(case: str) -> None:
    changes, moment_us = DUE[case]
    assert due_us(run_row(**changes), SETTINGS) == moment_us


STATUSES: tuple[RunStatus, ...] = ("queued", "assigned", "running", "done")


@st.composite
def rows(draw: st.DrawFn) -> RunRow:
    minutes = st.floats(0, 120)
    status = draw(st.sampled_from(STATUSES))
    row = run_row(
        status=status,
        created_us=ago(draw(minutes)),
        started_us=ago(draw(minutes)),
        last_activity_us=draw(st.none() | minutes.map(ago)),
        open_tools=draw(st.integers(0, 1)),
        waited_us=round(draw(minutes) * MINUTE_US),
        wait=draw(st.none() | minutes.map(wait)),
        looping=draw(st.none() | st.just("same Bash call 4 of last 4")),
    )
    return judge(row, NOW_US, THRESHOLDS)


@given(rows(), st.integers(0, 300 * MINUTE_US))
def test_no_flag_rises_before_the_run_is_due(row: RunRow, passed_us: int) -> None:
    later_us = NOW_US + passed_us
    due = due_us(row, SETTINGS)
    if due is None or later_us < due:
        assert judge(row, later_us, THRESHOLDS) is row


@given(rows())
def test_judging_at_the_due_moment_moves_it(row: RunRow) -> None:
    due = due_us(row, SETTINGS)
    if due is not None:
        judged = judge(row, max(due, NOW_US), THRESHOLDS)
        assert judged is not row
        following = due_us(judged, SETTINGS)
        assert following is None or following > due


def test_a_loop_below_a_raised_threshold_is_none() -> None:
    looping = judge(run_row(looping="same Bash call 6 of last 12"), NOW_US, THRESHOLDS)
    assert looping.health == "looping"
    assert judge(looping, NOW_US, HealthThresholds(looping_calls=7)).health == "ok"
    assert due_us(looping, SETTINGS) is None
