"""A store that several servers write to, and what each learns of the others."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from runwatch_server.storage.protocols import Commit, ReadTx


@runtime_checkable
class Shared(Protocol):
    """In this order: `join`, load from a snapshot, `follow`; then writes and `told`."""

    def join(self) -> None:
        """Be counted among the servers at work: from here on others say what they commit.

        Raises:
            StoreError: The store failed.
        """
        ...

    def follow(self, tx: ReadTx, wake: Callable[[], None]) -> None:
        """Everything ``tx`` sees is known; what is committed later by others is to be told.

        Args:
            wake: Called from a thread of the store when there may be something to tell, and now
                and then.
        """
        ...

    def told(self) -> list[Commit]:
        """Commits of others that nobody was told of yet, in order; from the thread that writes.

        Raises:
            StoreError: The store failed; or so much was missed that only a new start helps.
        """
        ...

    def told_before(self) -> list[Commit]:
        """Those of them that came before what `write_group` committed last."""
        ...

    def clock_us(self) -> int:
        """The database's clock, which all its servers go by; from any thread.

        Raises:
            StoreError: The store failed.
        """
        ...

    def has_upkeep(self) -> bool:
        """Whether this server, and surely no other, has the duty of what is done once for all:
        placing runs, sweeping, retention, alerts.
        """
        ...
