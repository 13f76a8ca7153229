"""How each state is shown: glyph, ASCII glyph, word and tone, never colour alone; no Textual."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runwatch_console.rows import NodeRow, RunRow


@dataclass(frozen=True, slots=True)
class Look:
    """One state on the screen. `word` is an id of the locale, `tone` a name of the style sheet."""

    glyph: str
    ascii: str
    word: str
    tone: str


RUN: Final = Look("●", "*", "look.run", "running")
WAIT: Final = Look("◐", "?", "look.wait", "waiting")
LOGIN: Final = Look("◐", "?", "look.login", "waiting")
STALL: Final = Look("▲", "!", "look.stall", "stalled")
LOOP: Final = Look("↻", "@", "look.loop", "looping")
SLOW: Final = Look("◔", "%", "look.slow", "slow")
QUEUE: Final = Look("○", "o", "look.queue", "queued")
STUCK: Final = Look("○", "o", "look.stuck", "stalled")
ASSIGNED: Final = Look("○", "o", "look.assigned", "queued")
CANCELLING: Final = Look("–", "-", "look.cancelling", "cancelled")
DONE: Final = Look("✓", "+", "look.done", "done")
FAIL: Final = Look("✕", "x", "look.fail", "failed")
TIMEOUT: Final = Look("✕", "x", "look.timeout", "failed")
CANCEL: Final = Look("–", "-", "look.cancel", "cancelled")
UNKNOWN: Final = Look("∅", "~", "look.unknown", "unknown")

_BY_STATUS: Final = {
    "queued": QUEUE,
    "assigned": ASSIGNED,
    "running": RUN,
    "done": DONE,
    "success": DONE,
    "failed": FAIL,
    "cancelled": CANCEL,
    "timeout": TIMEOUT,
}
_BY_HEALTH: Final = {"looping": LOOP, "stalled": STALL, "slow": SLOW, "stuck_queued": STUCK}

_BY_NODE_STATUS: Final = {
    "online": Look("●", "*", "look.online", "running"),
    "offline": Look("∅", "~", "look.offline", "failed"),
    "draining": Look("◔", "%", "look.draining", "waiting"),
    "maintenance": Look("–", "-", "look.maintenance", "cancelled"),
    "unhealthy": Look("▲", "!", "look.unhealthy", "stalled"),
}


def look_of_run(run: "RunRow") -> Look:
    """The one look of a run: ended, then cancelling, unknown, waiting, unhealthy, then its
    status.
    """
    if run.ended:
        return _BY_STATUS.get(run.status, UNKNOWN)
    if run.state == "unknown":
        return UNKNOWN
    if run.cancelling:
        return CANCELLING
    if run.state == "waiting":
        return LOGIN if run.type == "auth" else WAIT
    return _BY_HEALTH.get(run.health) or _BY_STATUS.get(run.status, UNKNOWN)


def look_of_status(status: str) -> Look:
    """The look of a run's bare status."""
    return _BY_STATUS.get(status, UNKNOWN)


def look_of_node(node: "NodeRow") -> Look:
    """The look of a node's resolved status."""
    return _BY_NODE_STATUS.get(node.status, UNKNOWN)


LOOKS: Final = (
    RUN,
    WAIT,
    LOGIN,
    STALL,
    LOOP,
    SLOW,
    QUEUE,
    STUCK,
    ASSIGNED,
    CANCELLING,
    DONE,
    FAIL,
    TIMEOUT,
    CANCEL,
    UNKNOWN,
    *_BY_NODE_STATUS.values(),
)
"""All of them, for the legend in help and for the test that every word and tone exists."""
