"""What a store and its writer tell whoever measures them; the numbers' names are in `metrics`."""

from typing import Literal, Protocol

Operation = Literal["select", "insert", "update", "delete", "commit"]


class QueryObserver(Protocol):
    """Hears of every statement a store runs; called in the store's own threads."""

    def queried(self, operation: Operation, table: str, seconds: float) -> None: ...


class WriteObserver(Protocol):
    """Hears of the writer's groups.

    `waiting` is called on the event loop, the others in the writer's thread.
    """

    def waiting(self, events: int) -> None:
        """Events now waiting for the writer."""
        ...

    def committed(self, works: int, events: int, seconds: float) -> None:
        """A group was written in this time, its commit on disk included."""
        ...

    def failed(self, kind: str) -> None:
        """A group or a read failed: ``full``, ``unavailable``, ``conflict`` or ``other``."""
        ...


class StoreObserver(QueryObserver, WriteObserver, Protocol):
    """Hears of both."""
