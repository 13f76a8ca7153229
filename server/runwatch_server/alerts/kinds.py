"""Which change of a run makes which alert; pure, over the row before and after.

A condition makes one alert when it begins and none while it lasts; when all conditions that made
one are over, that makes ``recovered``. What an alert says is in `message`.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

from runwatch_server.rows import RunRow
from runwatch_shared.states import is_terminal

AlertKind = Literal[
    "waiting",
    "failed",
    "timeout",
    "stalled",
    "looping",
    "slow",
    "stuck_queued",
    "waiting_long",
    "recovered",
    "test",
]
KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
HISTORY_US: Final = 600_000_000
"""Of a found session nobody has to know what is older."""
USUAL_KINDS: Final = frozenset({"waiting", "failed", "timeout", "stalled", "recovered"})
"""Sent where the settings name none."""


def conditions(row: RunRow) -> tuple[AlertKind, ...]:
    """What somebody may have to know of a run now. A silent node changes nothing here: what an
    unknown run last said still stands, so a node that comes and goes makes no alerts.
    """
    if row.status == "failed" or row.status == "timeout":
        return (row.status,)
    if is_terminal(row.status):
        return ()
    found: list[AlertKind] = []
    if row.status == "running" and row.wait is not None:
        found.append("waiting")
    if row.health != "ok":
        found.append(row.health)
    return tuple(found)


def alerts_of(before: RunRow | None, after: RunRow, kinds: frozenset[str]) -> list[AlertKind]:
    """The alerts a change makes, of the kinds that are wanted.

    It stands in the path of every append of events, so what changes nothing is seen first.
    """
    if before is not None and (before.status, before.health, before.wait) == (
        after.status,
        after.health,
        after.wait,
    ):
        return []
    earlier = _wanted(() if before is None else conditions(before), kinds)
    present = _wanted(conditions(after), kinds)
    begun: list[AlertKind] = [
        kind
        for kind in present
        if kind not in earlier or (kind == "waiting" and _asked_anew(before, after))
    ]
    if earlier and not present and "recovered" in kinds:
        begun.append("recovered")
    return begun


def is_history(row: RunRow, now_us: int) -> bool:
    """Whether a run only tells late what is long over: a session that was found after its end."""
    active_us = row.last_activity_us or row.created_us
    return row.origin == "found" and row.wait is None and now_us - active_us > HISTORY_US


def _wanted(found: Iterable[AlertKind], kinds: frozenset[str]) -> list[AlertKind]:
    return [kind for kind in found if kind in kinds]


def _asked_anew(before: RunRow | None, after: RunRow) -> bool:
    """Whether everything that was open is answered and something new was asked, in one change."""
    return before is not None and after.wait is not None and after.wait.seq > before.last_seq
