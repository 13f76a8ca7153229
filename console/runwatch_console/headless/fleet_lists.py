"""`attention` and `auth`: lists worked out from the whole fleet, once or at each change."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic

from runwatch_console.columns import Column, RowT
from runwatch_console.fleet import Fleet
from runwatch_console.folding import fold
from runwatch_console.formats import moment_s
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output, Value, csv_text, json_text
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.session import Session
from runwatch_console.headless.tables import Table, settle
from runwatch_console.headless.watching import WATCHED_ROWS, frames_of
from runwatch_console.lens import Lens
from runwatch_console.ports import FleetFrame
from runwatch_shared.text import clean
from runwatch_shared.wire import ChangeFrame, HeartbeatFrame, SnapshotFrame, SubscribeFrame, Topic


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetListing(Generic[RowT]):
    """One kind of list. `rows` gives it from the fleet, `told` what a change of makes a row worth
    telling again.
    """

    topics: Sequence[Topic]
    columns: Sequence[Column[RowT]]
    rows: Callable[[Fleet, Lens], Sequence[RowT]]
    key: Callable[[RowT], str]
    told: Callable[[RowT], object]
    record: Callable[[RowT], Mapping[str, Value]]
    fields: Sequence[str]
    nothing: str
    """Id of what is said when there is none."""
    below: Callable[[RowT, Session], str] = lambda row, session: ""
    """What is printed of a row below the table: whole lines."""


class _Printed(Generic[RowT]):
    """What was printed of a list, and what comes next."""

    def __init__(self, listing: FleetListing[RowT], output: Output, session: Session) -> None:
        self.listing = listing
        self.output = output
        self.session = session
        self.shown: dict[str, RowT] = {}
        self.table: Table[RowT] | None = None

    def whole(self, rows: Sequence[RowT], lens: Lens) -> None:
        listing, write = self.listing, self.session.printer.write
        self.shown = {listing.key(row): row for row in rows}
        match self.output:
            case Output.TABLE:
                self._lines(rows, lens)
                if not rows:
                    self.session.printer.say(self.session.words(listing.nothing))
            case Output.JSON:
                write(f"{json_text([listing.record(row) for row in rows], indent=2)}\n")
            case Output.NDJSON:
                write("".join(f"{json_text(listing.record(row))}\n" for row in rows))
            case Output.CSV:
                write(csv_text([listing.fields, *map(self._csv_line, rows)]))

    def changes(self, rows: Sequence[RowT], lens: Lens) -> None:
        """Rows that are new or say something else, then those that are gone."""
        listing = self.listing
        newest = {listing.key(row): row for row in rows}
        for key, row in newest.items():
            before = self.shown.get(key)
            if before is None or listing.told(before) != listing.told(row):
                self._changed(row, lens)
        for key in self.shown.keys() - newest.keys():
            self._gone(key)
        self.shown = newest

    def _changed(self, row: RowT, lens: Lens) -> None:
        match self.output:
            case Output.TABLE:
                self._lines([row], lens)
            case Output.CSV:
                self.session.printer.write(csv_text([self._csv_line(row)]))
            case _:
                self.session.printer.write(f"{json_text(self.listing.record(row))}\n")

    def _gone(self, key: str) -> None:
        match self.output:
            case Output.TABLE:
                shown = clean(key, limit=128, fold=True)
                self.session.printer.write(f"{self.session.words('headless.removed', id=shown)}\n")
            case Output.CSV:
                pass
            case _:
                self.session.printer.write(f"{json_text({'key': key, 'removed': True})}\n")

    def _lines(self, rows: Sequence[RowT], lens: Lens) -> None:
        if not rows:
            return
        lines = []
        if self.table is None:
            self.table = settle(self.listing.columns, rows, lens, self.session.printer)
            lines.append(self.table.header(lens))
        lines += [self.table.line(row, lens) for row in rows]
        lines += [self.listing.below(row, self.session) for row in rows]
        self.session.printer.write("".join(lines))

    def _csv_line(self, row: RowT) -> list[Value]:
        record = self.listing.record(row)
        return [record[name] for name in self.listing.fields]


async def print_fleet_list(
    session: Session,
    listing: FleetListing[RowT],
    matches: Callable[[RowT], bool],
    output: Output,
    *,
    watch: bool,
) -> ExitCode:
    """Print the list, and with `watch` what changes of it, until interrupted."""
    subscription = SubscribeFrame(
        id=1, topics=list(listing.topics), sort="-attention", limit=WATCHED_ROWS
    )
    printed = _Printed(listing, output, session)
    fleet, now_s, begun = Fleet(), 0.0, False
    async with aclosing(frames_of(session, subscription, Patience())) as frames:
        async for frame in frames:
            fleet = fold(fleet, [frame])
            now_s = _clock(frame) or now_s
            if not fleet.loaded:
                continue
            lens = session.lens(now_s)
            rows = [row for row in listing.rows(fleet, lens) if matches(row)]
            if begun:
                printed.changes(rows, lens)
                continue
            begun = True
            printed.whole(rows, lens)
            if not watch:
                break
    return ExitCode.DONE


def _clock(frame: FleetFrame) -> float | None:
    if isinstance(frame, SnapshotFrame | ChangeFrame | HeartbeatFrame):
        return moment_s(frame.server_time)
    return None
