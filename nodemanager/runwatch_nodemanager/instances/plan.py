"""What is to be done about an instance: one table of what the server says and what is there; pure.

Every row leads to a state whose own row does nothing, so one look at all of them is enough.
"""

from enum import Enum, auto
from typing import Final

from runwatch_shared.instances import InstanceStatus


class There(Enum):
    """How its container is."""

    ABSENT = auto()
    MADE = auto()
    """Never started, or ended with the whole machine: nothing of it ended by itself."""
    RUNNING = auto()
    ENDED = auto()
    MOVING = auto()
    """The engine is at it; it is looked at again."""


class Step(Enum):
    NOTHING = auto()
    MAKE = auto()
    START = auto()
    STOP = auto()
    STOP_QUIETLY = auto()
    """Nobody waits for it: whoever started it did not ask the server."""
    SAY_RUNNING = auto()
    SAY_STOPPED = auto()
    SAY_ENDED = auto()
    """It ended although nobody asked for it."""


STATES: Final[dict[str, There]] = {
    "created": There.MADE,
    "configured": There.MADE,
    "initialized": There.MADE,
    "running": There.RUNNING,
    "paused": There.RUNNING,
    "exited": There.ENDED,
    "stopped": There.ENDED,
    "dead": There.ENDED,
}
"""The words of engines; any other is of something that does not last."""

_BEING_MADE: Final[dict[There, Step]] = {
    There.ABSENT: Step.MAKE,
    There.MADE: Step.START,
    There.RUNNING: Step.SAY_RUNNING,
    There.ENDED: Step.START,
}
_AT_REST: Final[dict[There, Step]] = {There.RUNNING: Step.STOP_QUIETLY}

STEPS: Final[dict[InstanceStatus, dict[There, Step]]] = {
    "pending": _BEING_MADE,
    "creating": _BEING_MADE,
    "running": {
        There.ABSENT: Step.MAKE,
        There.MADE: Step.START,
        There.ENDED: Step.SAY_ENDED,
    },
    "stopping": {
        There.ABSENT: Step.SAY_STOPPED,
        There.MADE: Step.SAY_STOPPED,
        There.RUNNING: Step.STOP,
        There.ENDED: Step.SAY_STOPPED,
    },
    "stopped": _AT_REST,
    "error": _AT_REST,
}


def next_step(status: InstanceStatus, there: There) -> Step:
    """What to do about an instance of this status whose container is so."""
    return STEPS[status].get(there, Step.NOTHING)
