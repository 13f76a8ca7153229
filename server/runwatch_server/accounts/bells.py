"""Waking nodes that wait for logins to do: rung by the commits that concern them.

What a node is told is read by `polling`; here is only that there is something. Event loop only.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runwatch_server.accounts.rows import ActionRow
from runwatch_server.storage.protocols import Commit

MOST_NODES: Final = 10_000
"""Nodes whose actions were ended by others and that have not asked since; the oldest go."""


class ActionBells:
    """The bells of all nodes."""

    def __init__(self) -> None:
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._ended: dict[str, None] = {}
        self.closed = False
        """Whether the server is stopping: no wait lasts any longer."""

    @contextmanager
    def listen(self, node_id: str) -> Iterator[asyncio.Event]:
        """A bell for one wait. Hang it up before looking, so that nothing is missed between."""
        bell = asyncio.Event()
        self._bells.setdefault(node_id, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._bells[node_id]
            bells.discard(bell)
            if not bells:
                del self._bells[node_id]

    def waiting(self, node_id: str) -> int:
        """How many waits of a node are open."""
        return len(self._bells.get(node_id, ()))

    def take_ended(self, node_id: str) -> bool:
        """Whether somebody else ended an action of the node since it was told last."""
        return self._ended.pop(node_id, 0) is None

    def on_commit(self, commit: Commit) -> None:
        for change in commit.kept:
            if isinstance(change.after, ActionRow):
                before = change.before if isinstance(change.before, ActionRow) else None
                self._of_action(before, change.after)

    def ring_all(self) -> None:
        """End every wait, now and from now on."""
        self.closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    def _of_action(self, before: ActionRow | None, after: ActionRow) -> None:
        ended = not after.is_open and after.source.kind != "node"
        if ended and (before is None or before.is_open):
            self._ended.pop(after.node_id, None)
            self._ended[after.node_id] = None
            if len(self._ended) > MOST_NODES:
                del self._ended[next(iter(self._ended))]
        elif before is not None and not (after.input is not None and before.input != after.input):
            return
        for bell in self._bells.get(after.node_id, ()):
            bell.set()
