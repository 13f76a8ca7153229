"""Which change of a run makes which alert, and what it says."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server.alerts.kinds import KINDS, USUAL_KINDS, alerts_of, conditions
from runwatch_server.alerts.message import alert_row, body_of
from runwatch_server.rows import RunRow, WaitRow
from tests.server.domain.making import NOW_US, run_row

ALL = frozenset(KINDS)


def wait(seq: int = 1) -> WaitRow:
    return WaitRow(kind="approval", since_us=NOW_US, prompt="push \x1b[31mnow?", seq=seq)


WAITS: dict[str, Any] = {"wait": wait(), "open_waits": 1, "last_seq": 1}
STALLED: dict[str, Any] = {"health": "stalled", "health_reason": "silent over 5m"}

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "nothing": ({}, {"last_seq": 9, "activity_text": "x"}, []),
    "asked": ({}, WAITS, ["waiting"]),
    "still asked": (WAITS, {**WAITS, "last_seq": 5}, []),
    "one of two answered": (
        {**WAITS, "open_waits": 2, "last_seq": 2},
        {"wait": wait(2), "open_waits": 1, "last_seq": 3},
        [],
    ),
    "answered, and asked anew at once": (WAITS, {"wait": wait(3), "last_seq": 3}, ["waiting"]),
    "answered": (WAITS, {"last_seq": 2}, ["recovered"]),
    "stalled": ({}, STALLED, ["stalled"]),
    "active again": (STALLED, {}, ["recovered"]),
    "stalled, then asks": (STALLED, WAITS, ["waiting"]),
    "failed": ({}, {"status": "failed"}, ["failed"]),
    "failed out of a stall": (STALLED, {"status": "failed"}, ["failed"]),
    "timed out": (WAITS, {"status": "timeout"}, ["timeout"]),
    "done out of a stall": (STALLED, {"status": "done"}, ["recovered"]),
    "done": ({}, {"status": "done"}, []),
    "looping is not among the usual": ({}, {"health": "looping"}, []),
    "and does not recover": ({"health": "looping"}, {}, []),
    "from a stall into a loop": (STALLED, {"health": "looping"}, ["recovered"]),
    "a waiting run whose node falls silent": (WAITS, {**WAITS, "node_silent": True}, []),
    "events of a failed run are removed": (
        {"status": "failed"},
        {"status": "failed", "first_seq": 8},
        [],
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_makes_the_alerts_of_what_began_or_is_over(case: str) -> None:
    before, after, kinds = CHANGES[case]
    assert alerts_of(run_row(**before), run_row(**after), USUAL_KINDS) == kinds


def test_a_run_that_is_new_makes_an_alert_only_for_what_is_wrong_with_it() -> None:
    assert alerts_of(None, run_row(), ALL) == []
    assert alerts_of(None, run_row(**STALLED), ALL) == ["stalled"]


def test_a_flag_that_takes_the_place_of_another_is_told_where_it_is_wanted() -> None:
    before, after = run_row(**STALLED), run_row(health="looping")
    assert alerts_of(before, after, ALL) == ["looping"]


ROWS = st.builds(
    lambda status, health, waits: run_row(
        status=status,
        health=health if status in {"running", "queued"} else "ok",
        **(WAITS if waits else {"last_seq": 1}),
    ),
    st.sampled_from(["queued", "running", "done", "failed", "timeout", "cancelled"]),
    st.sampled_from(["ok", "stalled", "looping", "slow"]),
    st.booleans(),
)


@given(st.lists(ROWS, min_size=2, max_size=30), st.frozensets(st.sampled_from(KINDS)))
def test_a_condition_makes_one_alert_while_it_lasts(rows: list[RunRow], kinds: frozenset) -> None:
    lasting: set[str] = set()
    for before, after in zip([run_row(), *rows], rows, strict=False):
        made = alerts_of(before, after, kinds)
        present: set[str] = {kind for kind in conditions(after) if kind in kinds}
        assert {kind for kind in made if kind != "recovered"} == present - lasting
        assert ("recovered" in made) == bool(lasting and not present and "recovered" in kinds)
        lasting = present


def test_an_alert_quotes_nothing_an_agent_wrote() -> None:
    asked = run_row(**WAITS, error="secret \x1b[31merror", activity_text="secret activity")
    body = body_of(alert_row("waiting", asked, NOW_US, include_text=False), "f" * 16)
    alert = msgspec.json.decode(body)
    assert b"secret" not in body
    assert b"now?" not in body
    assert alert["text"] == "fix-auth (run-000000000001) waits for an approval"
    assert alert["workflow"]["waiting"]["open"] == 1
    assert alert["workflow"]["state"] == "waiting"


def test_where_it_is_wanted_the_prompt_and_the_error_are_in_it() -> None:
    row = run_row(**WAITS, error="it broke")
    alert = msgspec.json.decode(body_of(alert_row("waiting", row, 0, include_text=True), "f" * 16))
    assert alert["workflow"]["waiting"]["prompt"].startswith("push")
    assert alert["workflow"]["error"] == "it broke"


def test_the_sentence_names_code_and_exit_code_and_the_name_is_cut() -> None:
    row = run_row(name="n" * 200, status="failed", error_code="exit_nonzero", exit_code=137)
    text = alert_row("failed", row, NOW_US, include_text=False).text
    assert text.endswith("(run-000000000001) failed: exit_nonzero, exit code 137")
    assert len(text) < 160


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "test"])
def test_every_kind_has_a_sentence(kind: Any) -> None:
    assert "fix-auth (run-000000000001)" in alert_row(kind, run_row(), 0, include_text=False).text


def test_out_of_one_flag_into_an_unwanted_one_is_not_called_well() -> None:
    row = run_row(health="looping", health_reason="same Bash call 4 of last 12")
    text = alert_row("recovered", row, NOW_US, include_text=False).text
    assert text == "fix-auth (run-000000000001) is looping now: same Bash call 4 of last 12"
    healthy = alert_row("recovered", run_row(), NOW_US, include_text=False).text
    assert healthy == "fix-auth (run-000000000001) has recovered: running"
