"""When a session that only its transcript tells of is over, and how; judged, never known.

No transcript has an end marker (`agent-formats` 1.5), so an end is inferred from the process that
is gone or from silence, and the run says which (contract 9.3, ``inferred_from``).
"""

from dataclasses import dataclass
from typing import Final

from runwatch_nodemanager.agents.json_values import present
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.formats.protocol import Turn

GONE_QUIET_S: Final = 10.0
"""Silence after which a session whose process is gone is over: its last words may be on their way.
"""
UNSEEN_QUIET_S: Final = 60.0
"""The same for one whose process was never seen: it may run where it cannot be."""
WAIT_QUIET_S: Final = 3.0
"""Silence after which a turn that is done waits for a person."""
LOST_S: Final = 6 * 3600.0
"""Silence in the middle of a turn after which nobody can say that it goes on."""
MAX_ERROR_CHARS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a session that has a run.

    Args:
        alive: Whether a process of it runs; ``None`` where nobody can say.
        seen: Whether one may have run since it is followed.
    """

    turn: Turn
    error: str | None
    quiet_s: float
    alive: bool | None
    seen: bool
    interactive: bool
    waiting: bool


def judge(standing: Standing, *, idle_s: float) -> Draft | None:
    """The event that follows from how the session stands; ``None``: none does yet."""
    in_turn = standing.turn == "working"
    if standing.alive is False and (standing.seen or not in_turn):
        quiet_s = GONE_QUIET_S if standing.seen else min(UNSEEN_QUIET_S, idle_s)
        if standing.quiet_s >= quiet_s:
            gone = "its process is gone" if standing.seen else "no process of it runs"
            return _ended(standing, gone)
    silence_s = max(idle_s, LOST_S) if in_turn and standing.alive is not False else idle_s
    if standing.quiet_s >= silence_s and not (in_turn and standing.alive):
        return _ended(standing, f"silent for {_span(silence_s)}")
    waits = not in_turn and standing.alive is True and standing.interactive
    if waits and not standing.waiting and standing.quiet_s >= WAIT_QUIET_S:
        asked: Json = {
            "kind": "input",
            "action": "prompt",
            "prompt": "The turn is done; the session waits for its next message.",
        }
        return Draft("approval_request", asked)
    return None


def _ended(standing: Standing, inferred_from: str) -> Draft:
    facts: Json = {"inferred_from": inferred_from}
    if standing.turn == "done":
        return Draft("run_completed", {"status": "done", **facts})
    error = standing.error if standing.turn == "failed" else None
    code = "agent_error" if error else "interrupted"
    told = (error or "the session ended in the middle of a turn")[:MAX_ERROR_CHARS]
    return Draft("run_completed", present(status="failed", error=told, error_code=code, **facts))


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole and whole % 3600 == 0:
        return f"{whole // 3600} h"
    return f"{whole // 60} min" if whole >= 60 and whole % 60 == 0 else f"{whole} s"
