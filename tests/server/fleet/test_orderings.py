"""Drain, cancel, finish, lose and resume in any order and at any pace end a run exactly once."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server.rows import RunRow
from runwatch_shared.errors import RefusedError
from runwatch_shared.states import is_terminal
from tests.server.fleet.harbour import Harbour
from tests.server.fleet.invariants import check_run, check_slots, check_steps


def finish(harbour: Harbour, run: RunRow) -> None:
    """The process that claimed it first reports the end."""
    with suppress(RefusedError):
        harbour.append(run, "run_completed", epoch=1, status="done")


def lose(harbour: Harbour, run: RunRow) -> None:
    """Nobody hears of the node until all patience with it is over."""
    for _ in range(3):
        harbour.later(31)


def cancel(harbour: Harbour, run: RunRow) -> None:
    with suppress(RefusedError):
        harbour.cancel(run)


def drain(harbour: Harbour, run: RunRow) -> None:
    harbour.drain(stop_after_s=20)


def resume(harbour: Harbour, run: RunRow) -> None:
    harbour.resume()


Act = Callable[[Harbour, RunRow], None]
ACTS: Final[tuple[Act, ...]] = (drain, cancel, finish, lose, resume)


def settle(harbour: Harbour, run: RunRow) -> None:
    """The node comes back, drain over, and whoever has the run ends it."""
    harbour.resume()
    for _ in range(6):
        row = harbour.run(run.id)
        if is_terminal(row.status):
            return
        harbour.beat(runs=[row] if row.lease_kind == "explicit" else [])
        if row.status == "queued":
            harbour.place()
        elif row.lease_kind is None:
            harbour.claim(row)
        elif row.cancel is None:
            harbour.end(row)
        harbour.later(31)


@pytest.mark.parametrize("retry", [False, True])
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.permutations(ACTS), st.lists(st.integers(0, 70), min_size=5, max_size=5), st.booleans())
def test_every_order_ends_the_run_once(
    retry: bool, acts: list[Act], pauses: list[int], begun: bool
) -> None:
    harbour = Harbour()
    try:
        harbour.beat()
        run = harbour.held(retry_on_lost=retry)
        if begun:
            harbour.append(run, "run_started", epoch=1)
        seen = 0
        for act, pause_s in zip(acts, pauses, strict=True):
            harbour.later(pause_s)
            act(harbour, run)
            seen = check_steps(harbour, seen)
            check_run(harbour, run.id)
            check_slots(harbour)
        settle(harbour, run)
        check_steps(harbour, seen)
        check_run(harbour, run.id)
        check_slots(harbour)
        assert is_terminal(harbour.run(run.id).status)
        assert harbour.node_row().allocated == 0
    finally:
        harbour.store.close()


OUTCOMES: Final[dict[tuple[Act, ...], tuple[str, str | None]]] = {
    (finish, cancel, drain): ("done", None),
    (drain, finish): ("done", None),
    (cancel, finish): ("done", None),
    (cancel, lose): ("cancelled", "cancel_unconfirmed"),
    (cancel, lose, finish): ("cancelled", "cancel_unconfirmed"),
    (drain, lose): ("cancelled", "cancel_unconfirmed"),
    (drain, resume, lose): ("running", None),
    (lose, finish): ("done", None),
    (lose, cancel, finish): ("done", None),
    (lose, drain, resume, finish): ("done", None),
    (lose, cancel, lose): ("cancelled", "cancel_unconfirmed"),
    (drain, cancel, lose, finish): ("cancelled", "cancel_unconfirmed"),
}


@pytest.mark.parametrize("acts", OUTCOMES, ids=lambda acts: " ".join(act.__name__ for act in acts))
def test_the_first_end_is_final(harbour: Harbour, acts: tuple[Act, ...]) -> None:
    harbour.beat()
    run = harbour.running()
    for act in acts:
        act(harbour, run)
    row = harbour.run(run.id)
    assert (row.status, row.error_code) == OUTCOMES[acts]
