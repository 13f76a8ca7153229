"""The sockets that follow one login each: its phases, all of which are on its row, and its end.

A client is the number of the last phase it got, so nothing is kept for one that is slow: it gets
what the newest row has beyond that. Source: contract 10. Used in the event loop only.
"""

import asyncio
import logging
from functools import partial
from typing import Final

from runwatch_server.accounts import rowing
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.fanout.frames import frame_of
from runwatch_server.fanout.observer import FeedObserver
from runwatch_server.fanout.sockets import GONE, SERVER_ERROR, Socket
from runwatch_server.fanout.wires import Wire
from runwatch_server.principals import Principal
from runwatch_server.storage.protocols import Commit, Reader
from runwatch_shared.clock import Clock
from runwatch_shared.errors import OverloadedError, StoreError
from runwatch_shared.logins import LoginEventFrame, LoginEventsFrame, LoginStatusFrame
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import Gap, GapFrame, RunHeartbeat, RunHeartbeatFrame

logger: Final = logging.getLogger(__name__)

FINISHED: Final = 1000


class LoginFollower(Socket):
    """One socket of a login."""

    __slots__ = ("action_id", "batch", "row", "seq")

    def __init__(
        self, wire: Wire, principal: Principal, *, action_id: str, seq: int, batch: bool
    ) -> None:
        super().__init__("run", wire, principal)
        self.action_id = action_id
        self.seq = seq
        self.batch = batch
        self.row: ActionRow | None = None
        """As it was last heard of."""


class LoginStreams:
    """Every login somebody follows."""

    def __init__(self, *, reader: Reader, clock: Clock, observer: FeedObserver) -> None:
        self._reader = reader
        self._clock = clock
        self._observer = observer
        self._followers: dict[str, set[LoginFollower]] = {}

    def publish(self, commit: Commit) -> None:
        """Take a commit; frames go out after the answers of this turn of the event loop."""
        if not self._followers:
            return
        for change in commit.kept:
            row = change.after if change.after is not None else change.before
            if not isinstance(row, ActionRow):
                continue
            for follower in self._followers.get(row.id, ()):
                if change.after is None:
                    follower.close(GONE, "the login was deleted")
                else:
                    follower.row = row
                    asyncio.get_running_loop().call_soon(self.advance, follower)

    async def join(self, follower: LoginFollower) -> None:
        """Let a client in, and send it what it lacks."""
        self._followers.setdefault(follower.action_id, set()).add(follower)
        follower.wire.on_ready = partial(self.advance, follower)
        try:
            row = await self._reader.read(lambda tx: tx.kept(ActionRow).get(follower.action_id))
        except (StoreError, OverloadedError):
            logger.exception("Could not read a login")
            follower.close(SERVER_ERROR, "the store failed")
            return
        if row is None:
            follower.close(GONE, "the login was deleted")
        elif follower.row is None or follower.row.revision < row.revision:
            follower.row = row
        self.advance(follower)

    def leave(self, follower: LoginFollower) -> None:
        """Forget a client."""
        followers = self._followers.get(follower.action_id)
        if followers is not None:
            followers.discard(follower)
            if not followers:
                del self._followers[follower.action_id]

    def advance(self, follower: LoginFollower) -> None:
        """Send one client what it lacks, as far as it takes it."""
        row = follower.row
        if row is None or follower.code is not None:
            return
        first = rowing.first_seq(row)
        if follower.seq + 1 < first:
            gap = Gap(from_seq=follower.seq + 1, to_seq=first - 1, reason="expired")
            if not follower.wire.offer(frame_of(GapFrame(data=gap))):
                return
            follower.seq = first - 1
        if not self._send_events(follower, row):
            return
        end = rowing.end_of(row)
        if end is not None and follower.wire.offer(frame_of(LoginStatusFrame(data=end))):
            self._observer.sent("status", 1)
            follower.close(FINISHED, "the login is over")

    def heartbeat(self) -> None:
        """Tell those in batch mode that all up to a number was delivered."""
        now, sent = format_time(self._clock.now_us()), 0
        for followers in self._followers.values():
            for follower in followers:
                if follower.batch and follower.row is not None and follower.code is None:
                    data = RunHeartbeat(server_time=now, last_seq=follower.seq)
                    sent += follower.wire.offer(frame_of(RunHeartbeatFrame(data=data)))
        self._observer.sent("heartbeat", sent)

    def _send_events(self, follower: LoginFollower, row: ActionRow) -> bool:
        events = rowing.events_after(row, follower.seq)
        if events and follower.batch:
            if not follower.wire.offer(frame_of(LoginEventsFrame(data=events))):
                return False
            follower.seq = events[-1].seq
            self._observer.sent("events", 1)
            return True
        for event in events:
            if not follower.wire.offer(frame_of(LoginEventFrame(data=event))):
                return False
            follower.seq = event.seq
            self._observer.sent("event", 1)
        return True
