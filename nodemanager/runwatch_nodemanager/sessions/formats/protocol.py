"""What a transcript's reader must do, and what it may remember; formats are in files of their own.

Entry types: `agent-formats`, sections 1.5, 2.5, 3.5 and 4.5.
"""

from typing import Any, Literal, Protocol

import msgspec

from runwatch_nodemanager.agents.protocol import Draft, Json

Turn = Literal["working", "done", "failed"]
"""Where the session stands after its newest entry."""


class Tally(msgspec.Struct):
    """What became of each entry; the last four add up to the first."""

    entries: int = 0
    told: int = 0
    """Became events."""
    quiet: int = 0
    """Known, and nothing a person would look for, or told by another entry already."""
    unknown: int = 0
    """Of a type not known here; forwarded all the same."""
    damaged: int = 0
    """No JSON object; forwarded as text."""


class EntryState(msgspec.Struct):
    """What every reader remembers; bounded, ready for JSON."""

    tally: Tally = msgspec.field(default_factory=Tally)
    moment_us: int = 0
    """Of the newest entry with a time."""
    turn: Turn = "done"
    error: str | None = None
    """Of a turn that failed."""
    session_id: str | None = None
    model: str | None = None
    version: str | None = None


class EntryReader(Protocol):
    """Turns the entries of one file into events, the same ones whenever it is read again."""

    @property
    def state(self) -> EntryState: ...

    def entry(self, value: Json) -> list[Draft] | None:
        """Events of one entry; ``[]``: known and quiet; ``None``: of a type not known here."""

    def begin_run(self) -> None:
        """What comes belongs to a new run: totals of the session are told without what was."""

    def save(self) -> Any:
        """All that later events depend on, ready for JSON."""


def text_of(value: Any) -> str:
    """A JSON value for people: a string as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
