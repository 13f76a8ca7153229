"""Rows of which there are few, all kept alike: one class a kind, found by what `Place` names.

Which kinds there are stands in `storage.kinds`; what a row means is its own topic's.
"""

from typing import ClassVar, NamedTuple

from runwatch_server.rows import Row


class Place(NamedTuple):
    """What a row is found by beside its id; None: not by this."""

    node_id: str | None = None
    account_id: str | None = None
    status: str | None = None
    name: str | None = None
    due_us: int | None = None
    """When somebody must look at it."""


class KeptRow(Row, frozen=True, kw_only=True):
    """Base of kept rows. A kind sets ``KIND`` and says its `place`."""

    KIND: ClassVar[str]
    """Stored: never renamed."""
    TOLD: ClassVar[bool] = True
    """Whether a change takes a revision and is told to feeds and to other servers, and a deletion
    leaves a tombstone; else the row is only stored."""

    id: str
    created_us: int
    updated_us: int
    revision: int = 0

    @property
    def key(self) -> str:
        """What the row is known by among all kinds."""
        return f"{self.KIND}:{self.id}"

    @property
    def place(self) -> Place:
        return Place()
