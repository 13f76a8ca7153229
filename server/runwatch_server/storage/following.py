"""What follows the commits of a store to derive something from them, off the acknowledged path."""

from typing import Protocol, runtime_checkable

from runwatch_server.storage.protocols import Commit


class Follower(Protocol):
    """Works in a thread of its own; closing its store ends it as well."""

    @property
    def behind(self) -> int:
        """Revisions it has still to take in."""
        ...

    def start(self) -> None: ...

    def on_commit(self, commit: Commit) -> None:
        """Called on the event loop with each commit; returns at once."""
        ...

    def close(self) -> None:
        """End the thread; waits for it for some seconds at most."""
        ...


@runtime_checkable
class Followed(Protocol):
    """A store that may have one."""

    follower: Follower | None


def follower_of(store: object) -> Follower | None:
    """The store's follower, if it has one."""
    return store.follower if isinstance(store, Followed) else None
