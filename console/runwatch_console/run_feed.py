"""The events of one run (contract 10): in order, each once, then live; resumed where it was cut."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, assert_never
from urllib.parse import urlencode

import msgspec

from runwatch_console.contexts import Context
from runwatch_console.feed import Loss, SocketLostError, open_socket
from runwatch_console.feeditems import HOPELESS
from runwatch_console.ports import (
    EventBatch,
    Gap,
    LossReason,
    Reconnected,
    RunGone,
    RunItem,
    RunStatus,
)
from runwatch_console.queries import socket_path, workflow_type
from runwatch_console.retries import LONGEST_S, Retries
from runwatch_shared.logins import (
    LoginEvent,
    LoginEventFrame,
    LoginEventsFrame,
    LoginStatusFrame,
)
from runwatch_shared.models import Event, RunId
from runwatch_shared.wire import (
    EventFrame,
    EventsFrame,
    GapFrame,
    RunFrame,
    RunHeartbeatFrame,
    RunPongFrame,
    StatusFrame,
)

SILENT_S: Final = 20.0
"""Four heartbeats without any frame: the connection is given up."""
GONE: Final = 4404

LoginFrame = (
    LoginEventFrame
    | LoginEventsFrame
    | LoginStatusFrame
    | GapFrame
    | RunHeartbeatFrame
    | RunPongFrame
)
"""What the socket of a login sends: phases as events, and the action's own end (contract 10)."""
Received = RunFrame | LoginFrame

_RUN_FRAMES: Final[msgspec.json.Decoder[RunFrame]] = msgspec.json.Decoder(RunFrame)
_LOGIN_FRAMES: Final[msgspec.json.Decoder[LoginFrame]] = msgspec.json.Decoder(LoginFrame)
_KNOWN: Final = frozenset({"event", "events", "gap", "status", "heartbeat", "pong"})


class _Tag(msgspec.Struct):
    type: str


_TAGS: Final = msgspec.json.Decoder(_Tag)


class RunSockets:
    """Follows runs, each over a socket of its own. See `ports.RunEvents`."""

    def __init__(
        self,
        context: Context,
        *,
        store: Callable[[], str | None] = lambda: None,
        retries: Callable[[], Retries] = Retries,
    ) -> None:
        """`store` gives the history the numbers belong to, where known (`MonitorFeed.store`)."""
        self._context = context
        self._store = store
        self._retries = retries

    async def follow(self, run_id: str, from_seq: int | None) -> AsyncGenerator[RunItem, None]:
        """See `ports.RunEvents`. Close it with `aclosing`: that closes the socket."""
        reading = RunReading(run_id, from_seq, self._store())
        retries = self._retries()
        while True:
            try:
                async with aclosing(self._connection(reading, retries)) as items:
                    async for item in items:
                        yield item
            except SocketLostError as error:
                loss = error.loss
            else:
                return
            if loss.close_code == GONE or loss.status in (404, 409):
                # 409: the history is another, or shorter than what was read already.
                yield RunGone(detail=loss.detail)
                return
            wait_s = retries.wait_s(loss)
            if loss.reason in HOPELESS:
                wait_s = LONGEST_S
            retries.arm()
            yield loss.disconnected(wait_s)
            await retries.wait(wait_s)

    async def _connection(
        self, reading: "RunReading", retries: Retries
    ) -> AsyncGenerator[RunItem, None]:
        """Ends by itself only after the status; else raises `SocketLostError`."""
        async with open_socket(self._context, reading.path()) as socket:
            yield Reconnected(from_seq=reading.last_seq or 0)
            while True:
                frame = reading.decode(await socket.receive(SILENT_S))
                if isinstance(frame, RunHeartbeatFrame):
                    retries.settled()
                if frame is None or (item := reading.take(frame)) is None:
                    continue
                yield item
                if isinstance(item, RunStatus):
                    return


class RunReading:
    """How far one run has been read."""

    def __init__(self, run_id: str, from_seq: int | None, store: str | None) -> None:
        self._run_id = run_id
        self._store = store
        self._login = workflow_type(run_id) == "auth"
        self.last_seq = from_seq

    def path(self) -> str:
        """Where the events after the last one are."""
        query = {"batch": "true"}
        if self.last_seq is not None:
            query["from_seq"] = str(self.last_seq)
            if self._store is not None:
                query["store"] = self._store
        return f"{socket_path(self._run_id)}?{urlencode(query)}"

    def decode(self, message: bytes) -> Received | None:
        """A frame; None for a type this console does not know, which it has to ignore (1.1)."""
        return _decode(message, _LOGIN_FRAMES if self._login else _RUN_FRAMES)

    def take(self, frame: Received) -> RunItem | None:
        """What a frame says that was not known yet."""
        match frame:
            case LoginEventsFrame() | LoginEventFrame() | LoginStatusFrame():
                return self._take_login(frame)
            case EventsFrame():
                return self._events(frame.data)
            case EventFrame():
                return self._events([frame.data])
            case GapFrame():
                gap = frame.data
                self.last_seq = max(self.last_seq or 0, gap.to_seq)
                return Gap(from_seq=gap.from_seq, to_seq=gap.to_seq, reason=gap.reason)
            case StatusFrame():
                end = frame.data
                return RunStatus(status=end.status, last_seq=end.last_seq, exit_code=end.exit_code)
            case RunHeartbeatFrame():
                if self.last_seq is None:
                    # Live from an unknown place: from here on a lost connection loses nothing.
                    self.last_seq = frame.data.last_seq
                return None
            case RunPongFrame():
                return None
            case _:
                assert_never(frame)

    def _take_login(
        self, frame: LoginEventsFrame | LoginEventFrame | LoginStatusFrame
    ) -> RunItem | None:
        match frame:
            case LoginEventsFrame():
                return self._events([_event(each) for each in frame.data])
            case LoginEventFrame():
                return self._events([_event(frame.data)])
            case LoginStatusFrame():
                over = frame.data
                return RunStatus(status=over.status, last_seq=over.last_seq)
            case _:
                assert_never(frame)

    def _events(self, events: list[Event]) -> EventBatch | None:
        fresh: list[Event] = []
        for event in events:
            if self.last_seq is None or event.seq > self.last_seq:
                fresh.append(event)
                self.last_seq = event.seq
        return EventBatch(events=tuple(fresh)) if fresh else None


def _event(told: LoginEvent) -> Event:
    """A phase of a login as an event like those of runs."""
    return Event(
        id=told.id,
        run_id=RunId(told.action_id),
        seq=told.seq,
        epoch=told.epoch,
        type=told.type,
        timestamp=told.timestamp,
        received_at=told.received_at,
        level=told.level,
        payload=told.payload,
    )


def _decode(
    message: bytes, decoder: "msgspec.json.Decoder[RunFrame] | msgspec.json.Decoder[LoginFrame]"
) -> Received | None:
    try:
        return decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            kind = _TAGS.decode(message).type
        except (msgspec.DecodeError, UnicodeDecodeError):
            kind = ""
        if kind and kind not in _KNOWN:
            return None
        detail = f"{kind or 'a frame'} is not what the contract says: {error}"
        raise SocketLostError(Loss(reason=LossReason.DEFECT, detail=detail)) from error
