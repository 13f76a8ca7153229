"""`--watch`: a list, and then each record that changes, from the feed."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic

from runwatch_console.columns import RowT
from runwatch_console.formats import moment_s
from runwatch_console.headless.exits import ExitCode, loss_error
from runwatch_console.headless.formats import Output
from runwatch_console.headless.listings import Listing, RecordT
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.printing import ListPrinter
from runwatch_console.headless.session import Session
from runwatch_console.ports import Connected, Connecting, Disconnected, FleetFrame, Frame
from runwatch_shared.text import clean
from runwatch_shared.wire import (
    ChangeFrame,
    HeartbeatFrame,
    ResyncFrame,
    SnapshotFrame,
    SubscribeFrame,
)

WATCHED_ROWS = 5000


async def frames_of(
    session: Session, subscription: SubscribeFrame, patience: Patience
) -> AsyncGenerator[FleetFrame, None]:
    """The feed's frames; says when the server is lost and found.

    Raises:
        CommandError: The server stays away longer than there is patience.
    """
    async with aclosing(session.network.feed(subscription).frames()) as items:
        async for item in items:
            match item:
                case Connected():
                    say_back(session, patience)
                case Disconnected():
                    bear_loss(session, patience, item)
                case Frame():
                    yield item.frame
                case Connecting():
                    pass


def say_back(session: Session, patience: Patience) -> None:
    """The server is there; told to the person if it was away."""
    if patience.reached():
        session.printer.say(session.words("headless.back"))


def bear_loss(session: Session, patience: Patience, loss: Disconnected) -> None:
    """Tell the person that the connection is gone, once for each reason.

    Raises:
        CommandError: This loss ends the command.
    """
    if patience.exhausted(loss):
        raise loss_error(loss, session.words, session.target)
    if patience.news(loss):
        detail = clean(loss.detail, limit=300, fold=True)
        session.printer.say(session.words("headless.lost", detail=detail))


class Watched(Generic[RecordT, RowT]):
    """The records of the subscription, and those of them that are shown."""

    def __init__(
        self,
        listing: Listing[RecordT, RowT],
        matches: Callable[[RowT, float], bool],
        printer: ListPrinter[RecordT, RowT],
    ) -> None:
        self._listing = listing
        self._matches = matches
        self._printer = printer
        self._known: dict[str, RecordT] = {}
        self._arriving: dict[str, RecordT] = {}
        self._shown: dict[str, RecordT] = {}
        self._begun = False
        self._now_s = 0.0

    def take(self, frame: FleetFrame) -> None:
        """Print what a frame brings."""
        if isinstance(frame, SnapshotFrame | ChangeFrame | HeartbeatFrame):
            self._now_s = moment_s(frame.server_time) or self._now_s
        match frame:
            case SnapshotFrame():
                self._snapshot(frame)
            case ChangeFrame():
                for key in self._listing.removals(frame):
                    self._known.pop(key, None)
                    self._judge(key)
                for record in self._listing.upserts(frame):
                    self._known[self._listing.key(record)] = record
                    self._judge(self._listing.key(record))
            case HeartbeatFrame():
                # An age in the filter can change its mind without any change of the record.
                for key in list(self._known) if self._begun else ():
                    self._judge(key)
            case ResyncFrame():
                self._arriving = {}
            case _:
                pass

    def _snapshot(self, frame: SnapshotFrame) -> None:
        if frame.part == 1:
            self._arriving = {}
        self._arriving |= {self._listing.key(r): r for r in self._listing.snapshot(frame)}
        if not frame.last:
            return
        self._known, self._arriving = self._arriving, {}
        if not self._begun:
            self._begun = True
            self._shown = {key: r for key, r in self._known.items() if self._fits(r)}
            self._printer.whole(list(self._shown.values()), self._now_s)
            return
        for key in [*self._known, *(set(self._shown) - set(self._known))]:
            self._judge(key)

    def _fits(self, record: RecordT) -> bool:
        return self._matches(self._listing.row(record), self._now_s)

    def _judge(self, key: str) -> None:
        record = self._known.get(key)
        if record is not None and self._fits(record):
            if self._shown.get(key) != record:
                self._shown[key] = record
                self._printer.changed(record, self._now_s)
        elif self._shown.pop(key, None) is not None:
            self._printer.removed(key)


async def watch_list(
    session: Session,
    listing: Listing[RecordT, RowT],
    matches: Callable[[RowT, float], bool],
    output: Output,
) -> ExitCode:
    """Print the list and then its changes, until interrupted."""
    subscription = SubscribeFrame(
        id=1,
        topics=[listing.topic],
        sort="-attention" if listing.topic == "workflows" else None,
        limit=WATCHED_ROWS,
    )
    watched = Watched(listing, matches, ListPrinter(listing, output, session))
    async with aclosing(frames_of(session, subscription, Patience())) as frames:
        async for frame in frames:
            watched.take(frame)
    return ExitCode.DONE
