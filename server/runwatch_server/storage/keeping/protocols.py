"""What keeping a store asks of it, whatever the store is: one state of everything to read, and an
empty store to fill.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.keeping.archive import Header

PAGE: Final = 100
"""Events of a run that are read at once; one has up to 256 KiB and its raw line."""

Values = Sequence[Any]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What stands over everything."""

    store_id: str
    revision: int
    resumable: int
    thresholds: str | None


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what stands beside it under its id."""

    key: Any
    """What the store finds its events by."""
    id: str
    doc: str
    due_us: int | None
    spec: str | None
    fold: str | None
    lease: tuple[int, str, int] | None
    """Epoch, node, end."""


class StoredKept(msgspec.Struct, frozen=True, kw_only=True):
    """A kept row (see `storage.kinds`)."""

    kind: str
    id: str
    doc: str
    columns: dict[str, Any]
    """What it is found by, by name."""


class Snapshot(Protocol):
    """One state of everything; each kind in an order that is the same in every store."""

    def head(self) -> Head: ...

    def nodes(self) -> Iterator[str]:
        """Documents, by id."""
        ...

    def tasks(self) -> Iterator[str]:
        """Documents, by when they were made."""
        ...

    def runs(self) -> Iterator[StoredRun]:
        """By when they were made."""
        ...

    def steps(self, run: StoredRun) -> Iterator[Values]:
        """Number and document."""
        ...

    def blocks(self, run: StoredRun) -> Iterator[Values]:
        """Block, types, levels."""
        ...

    def events(self, run: StoredRun) -> Iterator[list[EventRow]]:
        """In pages that are not empty."""
        ...

    def kept(self) -> Iterator[StoredKept]:
        """By kind, by when they were made."""
        ...

    def small(self, kind: str) -> Iterator[Values]:
        """Everything of one of the kinds of `records.SMALL` and `records.OF_ACCESS`."""
        ...

    def telemetry(self) -> Iterator[tuple[Any, Values]]:
        """What the session's digests are found by; agent type, session, last, due, document."""
        ...

    def seen(self, key: Any) -> Iterator[Values]:
        """Digest and number."""
        ...

    def step_count(self, run: StoredRun) -> int: ...

    def held(self, run: StoredRun) -> tuple[int, int | None, int | None]:
        """How many events there are of a run, and the first and last number."""
        ...

    def numbers(self, run: StoredRun, after: int, limit: int) -> list[int]:
        """Numbers of a run's events, rising."""
        ...

    def misfiled(self, run: StoredRun, row: RunRow) -> Iterator[str]:
        """What a run is found by that it does not hold, a sentence each."""
        ...

    def strays(self) -> Iterator[tuple[str, object]]:
        """What there is of runs that are not there, and what it says of which."""
        ...

    def astray(self) -> Iterator[str]:
        """What else this kind of store keeps that does not agree; asked last, a sentence each."""
        ...


class Filling(Protocol):
    """An empty store being filled, all or nothing."""

    takes: Mapping[str, Callable[..., None]]
    """What takes the values of a record, by its kind; raises TypeError, ValueError or a
    `msgspec.MsgspecError` where they do not fit.
    """

    def begin(self, *, access: bool) -> None:
        """Begin what nobody else can write beside.

        Args:
            access: Whether there will be users and tokens too.

        Raises:
            StoreError: The store is not empty, or somebody is at work on it.
        """
        ...

    def settle(self) -> None:
        """Write what is still gathered; raises as `takes`."""
        ...

    def finish(self, header: Header, now_us: int) -> None:
        """Set what stands over everything, give the store an id of its own, and make all of it
        durable and seen.
        """
        ...

    def undo(self) -> None:
        """Leave the store as it was; nothing where nothing was begun."""
        ...
