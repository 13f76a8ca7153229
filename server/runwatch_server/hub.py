"""Gives committed changes to every open socket; plain asyncio, no Starlette.

The hub joins the three feeds of `fanout`, each a reader of commits: the monitor's differences, its
whole lists, and the events of runs. It owns what is common: places, heartbeats, stuck peers,
credentials. The sockets' endpoints are `monitor_feed` and `run_feed`.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from runwatch_server.fanout.compatible import CompatibleMonitor
from runwatch_server.fanout.fleet_stats import StatsSource
from runwatch_server.fanout.logins import LoginStreams
from runwatch_server.fanout.monitor import Monitor
from runwatch_server.fanout.observer import FeedObserver, NoObserver
from runwatch_server.fanout.reads import PatientReader
from runwatch_server.fanout.sockets import GOING_AWAY, Recheck, Sockets
from runwatch_server.fanout.streams import RunStreams
from runwatch_server.storage.protocols import Commit, Reader
from runwatch_shared.clock import Clock
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.wire import MONITOR_HEARTBEAT_S

logger: Final = logging.getLogger(__name__)

RECHECK_S: Final = 3.0
"""What is revoked at another server, or by a command, closes its sockets within 5 s."""


class Hub:
    """The open sockets and what they are told. Used in the event loop only.

    Args:
        projection: Must have applied a commit before the hub gets it.
        version: Of this server, for ``hello``.
        recheck: Whether credentials still hold, all of one moment; asked every few seconds, so well
            within the minute of contract 2.5.
        heartbeat_s: Seconds between heartbeats; other than the contract's only in tests.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        projection: StatsSource,
        clock: Clock,
        settings: ServerSettings,
        store_id: str,
        version: str,
        observer: FeedObserver | None = None,
        recheck: Recheck | None = None,
        heartbeat_s: float = MONITOR_HEARTBEAT_S,
        recheck_s: float = RECHECK_S,
    ) -> None:
        self.reader = reader = PatientReader(reader)
        self.clock = clock
        self.settings = settings
        self.store_id = store_id
        self.version = version
        self.observer = observer or NoObserver()
        self.sockets = Sockets(settings.limits, self.observer, recheck)
        self._owner = TaskOwner("hub")
        self._heartbeat_s = heartbeat_s
        self._recheck_s = recheck_s
        self._ended = asyncio.Event()
        self.monitor = Monitor(
            reader=reader,
            projection=projection,
            clock=clock,
            limits=settings.limits,
            store_id=store_id,
            observer=self.observer,
            owner=self._owner,
        )
        self.compatible = CompatibleMonitor(
            reader=reader,
            projection=projection,
            clock=clock,
            observer=self.observer,
            owner=self._owner,
        )
        self.streams = RunStreams(
            reader=reader, clock=clock, observer=self.observer, owner=self._owner
        )
        self.logins = LoginStreams(reader=reader, clock=clock, observer=self.observer)

    def follow(self, settings: ServerSettings) -> None:
        """Bound sockets, snapshots and mailboxes that begin from now on by other limits."""
        self.settings = settings
        self.sockets.limits = settings.limits
        self.monitor.limits = settings.limits

    @property
    def revision(self) -> int:
        """Of the newest change that clients of the monitor may know."""
        return self.monitor.revision

    def publish(self, commit: Commit) -> None:
        """Take a commit, in the order of their revisions; frames go out from a later turn of the
        event loop, so this costs the writer's answers nothing.
        """
        self.streams.publish(commit)
        self.logins.publish(commit)
        self.monitor.publish(commit)
        self.compatible.publish(commit)

    async def run(self) -> None:
        """Beat, close who is stuck or not allowed any more; until cancelled."""
        loop = asyncio.get_running_loop()
        self._owner.spawn(self._keep_rechecking(), name="recheck")
        try:
            while True:
                await asyncio.sleep(self._heartbeat_s)
                self._beat(loop.time())
        finally:
            await self._owner.stop()

    def stop(self) -> None:
        """Close every socket with 1001; their clients come back to the next server."""
        self.sockets.close_all(GOING_AWAY, "the server stops")

    def _beat(self, now_s: float) -> None:
        self.monitor.heartbeat()
        self.compatible.heartbeat()
        self.streams.heartbeat()
        self.logins.heartbeat()
        self.sockets.close_stuck(now_s)
        self.observer.mailbox("monitor", *self.monitor.backlog())
        self.observer.mailbox("run", *self.streams.backlog())

    def recheck_now(self) -> None:
        """A credential was ended here: look at once."""
        self._ended.set()

    async def _keep_rechecking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._recheck_s):
                    await self._ended.wait()
            self._ended.clear()
            try:
                await self.sockets.recheck()
            except Exception:  # the store may be away for a while; sockets stay until it is back
                logger.exception("Could not check the credentials of open sockets")
