"""What left the search index a moment ago and may still be there in an older snapshot."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Final

REMEMBERED: Final = 32
"""Notes that are kept; a snapshot that is older than all of them is read without the index."""


class Moves:
    """Written by the index's follower before it commits, read by who has opened a snapshot.

    A snapshot of the database at a revision may be older than the index: then a row whose text
    changed since is not found by its old text, and of a run events are missing that went since.
    Their ids are here.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._notes: deque[tuple[int, frozenset[str]]] = deque()
        self._forgotten_to = -1

    def note(self, revision: int, ids: Iterable[str]) -> None:
        """As of this revision these rows are no longer what the index had of them."""
        gone = frozenset(ids)
        if not gone:
            return
        with self._guard:
            self._notes.append((revision, gone))
            if len(self._notes) > REMEMBERED:
                self._forgotten_to = self._notes.popleft()[0]

    def forget_all(self, revision: int) -> None:
        """The index was made anew: nothing is known of what older snapshots have."""
        with self._guard:
            self._notes.clear()
            self._forgotten_to = revision

    def since(self, revision: int) -> set[str] | None:
        """Ids that moved after a revision; None when that is no longer known."""
        with self._guard:
            if revision < self._forgotten_to:
                return None
            return {each for noted, ids in self._notes if noted > revision for each in ids}
