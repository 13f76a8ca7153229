"""What the domain asks of a store about kept rows (`runwatch_server.kept`)."""

from collections.abc import Collection
from typing import Protocol, TypeVar

import msgspec

from runwatch_server.kept import KeptRow

K = TypeVar("K", bound=KeptRow)


class KeptChange(msgspec.Struct, frozen=True):
    """A kept row before and after a commit, only of kinds that are told."""

    before: KeptRow | None
    after: KeptRow | None


class KeptReads(Protocol[K]):
    """The rows of one kind."""

    def get(self, row_id: str) -> K | None: ...

    def find(
        self,
        *,
        node_id: str | None = None,
        account_id: str | None = None,
        name: str | None = None,
        status: Collection[str] | None = None,
        newest_first: bool = False,
        after: tuple[int, str] | None = None,
        limit: int,
    ) -> list[K]:
        """Rows of which everything given holds, by created, then id.

        Args:
            status: One of these.
            after: (created_us, id) of the last row of the page before.
        """
        ...

    def due(self, now_us: int, *, limit: int) -> list[K]:
        """Rows whose moment has come, longest first."""
        ...


class KeptWrites(KeptReads[K], Protocol[K]):
    def save(self, row: K) -> K:
        """Insert or replace; gives it back with its revision, if its kind is told."""
        ...

    def delete(self, row_id: str) -> bool:
        """Remove a row, with a tombstone if its kind is told; gives whether it was there."""
        ...
