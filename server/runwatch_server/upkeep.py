"""What is done once for all, by one server where several share a store: runs are given to nodes,
what is due is swept, what is old removed, alerts delivered.

Each of these works from the store and from commits, so any server can take over at any moment.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from runwatch_server.alerts.sender import AlertSender
from runwatch_server.storage.protocols import Commit, Reader, ReadTx, Store
from runwatch_server.storage.sharing import Shared
from runwatch_shared.errors import OverloadedError, StoreError
from runwatch_shared.logs import log
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.25


class Chore(Protocol):
    """Something with a task of its own; its owner ends it."""

    def start(self, owner: TaskOwner) -> None: ...


class Upkeep:
    """Used in the event loop only.

    Args:
        chores: Makes those that are started with the duty.
        sender: Makes who delivers alerts; None where nobody does.
    """

    def __init__(
        self,
        store: Store,
        reader: Reader,
        *,
        chores: Callable[[], Sequence[Chore]],
        sender: Callable[[], AlertSender | None],
    ) -> None:
        self._shared = store if isinstance(store, Shared) else None
        self._reader = reader
        self._chores = chores
        self._make_sender = sender
        self._sender = None if self._shared is not None else sender()
        self.held = self._shared is None
        """Whether this server has the duty now."""

    def load(self, tx: ReadTx) -> None:
        """Take what the alerts need from a snapshot; before the first commit."""
        if self._sender is not None:
            self._sender.load(tx)

    def on_commit(self, commit: Commit) -> None:
        if self._sender is not None:
            self._sender.on_commit(commit)

    def start(self, owner: TaskOwner) -> None:
        """Begin where this is the only server; else whenever the duty falls to it."""
        if self._shared is None:
            self._begin(owner)
        else:
            owner.spawn(self._watch(self._shared), name="upkeep")

    async def _watch(self, shared: Shared) -> None:
        owner = TaskOwner("upkeep")
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                if shared.has_upkeep() and not self.held:
                    await self._take(owner)
                elif self.held and not shared.has_upkeep():
                    await self._leave(owner)
        finally:
            await owner.stop()

    async def _take(self, owner: TaskOwner) -> None:
        # An alert comes twice where it is both in the snapshot and told; it has one id.
        self._sender = self._make_sender()
        try:
            await self._reader.read(self.load)
        except (StoreError, OverloadedError) as error:
            self._sender = None
            logger.warning("The upkeep cannot begin yet: %s", error)
            return
        self.held = True
        self._begin(owner)
        log(logger, logging.INFO, "server", "This server has the upkeep", event="upkeep")

    async def _leave(self, owner: TaskOwner) -> None:
        self.held = False
        await owner.stop()
        self._sender = None
        log(logger, logging.INFO, "server", "This server leaves the upkeep", event="upkeep")

    def _begin(self, owner: TaskOwner) -> None:
        for chore in self._chores():
            chore.start(owner)
        if self._sender is not None:
            self._sender.start(owner)
