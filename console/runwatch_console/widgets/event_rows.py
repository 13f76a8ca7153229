"""The rows of a run's log: one or more a line, as folded, wrapped and wide as the view is."""

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from runwatch_console.eventlines import EventLine, body_lines
from runwatch_console.eventwindow import GapLine, Line, NoticeLine
from runwatch_console.formats import TimeFormat, format_moment
from runwatch_console.lens import Lens
from runwatch_console.runlog import Moved, RunLog
from runwatch_console.widgets.cells import wrap
from runwatch_console.widgets.virtual_list import Key, Paint, Piece


class EventRow(NamedTuple):
    """A row of the view: the first of its line (`part` 0), or a further one with `text`."""

    line: Line
    part: int
    text: str


SEQ_WIDTH = 9
LABEL_WIDTH = 9


class EventRows:
    """See the module. After the log changed: `synchronize(moved)`."""

    def __init__(self, log: RunLog, lens: Lens) -> None:
        self.log = log
        self.lens = lens
        self.wrapped = False
        self.all_open = False
        self.open: set[int] = set()
        """Seqs turned round: unfolded, or folded while all are open."""
        self.keep: Callable[[EventLine], bool] | None = None
        """Which events are shown; None: all. Gaps are always."""
        self.width = 80
        self.stale = False
        self.rows: list[EventRow] = []

    @property
    def time_width(self) -> int:
        """Cells of the time column."""
        return 7 if self.lens.time_format is TimeFormat.RELATIVE else 8

    @property
    def text_width(self) -> int:
        """Cells the text has."""
        return max(10, self.width - self.time_width - 1 - 2 - LABEL_WIDTH - 1 - SEQ_WIDTH - 1)

    def rebuild(self) -> None:
        """Make all rows anew."""
        self.rows = [row for line in self.log.window.lines for row in self._rows_of(line)]

    def synchronize(self, moved: Moved) -> None:
        """Follow an append to the log's window."""
        lines = self.log.window.lines
        if moved.replaced or not self.rows or (self.keep is not None and moved.dropped_first):
            self.rebuild()
            return
        if moved.dropped_first:
            first = lines[0] if lines else None
            gone = 0
            while gone < len(self.rows) and self.rows[gone].line is not first:
                gone += 1
            del self.rows[:gone]
        if moved.added:
            for line in lines[len(lines) - moved.added :]:
                self.rows.extend(self._rows_of(line))

    def shows(self, line: EventLine) -> bool:
        """Whether an event is not filtered away."""
        return self.keep is None or self.keep(line)

    def is_open(self, line: Line) -> bool:
        """Whether a line's body is shown."""
        return (
            isinstance(line, EventLine) and line.more and (line.seq in self.open) != self.all_open
        )

    def line_index(self, row_index: int) -> int:
        """The index in the window of a row's line."""
        if not 0 <= row_index < len(self.rows):
            return 0
        return self.log.window.lines.index(
            self.rows[row_index].line, self.log.window.index_at(self.rows[row_index].line.seq)
        )

    def row_of_seq(self, seq: int) -> int | None:
        """The first row of an event, or of the first one after it."""
        index = bisect_left(self.rows, seq, key=lambda row: row.line.seq)
        return index if index < len(self.rows) else None

    def _rows_of(self, line: Line) -> list[EventRow]:
        if not isinstance(line, EventLine):
            return [EventRow(line, 0, "")]
        if not self.shows(line):
            return []
        width = self.text_width
        texts = wrap(line.text, width) if self.wrapped else [line.text]
        if self.is_open(line):
            for body in body_lines(line):
                texts.extend(wrap(body, width) if self.wrapped else [body])
        return [EventRow(line, part, text) for part, text in enumerate(texts)]

    # What the virtual list asks.

    def __len__(self) -> int:
        return len(self.rows)

    def key_at(self, index: int) -> Key:
        """Kind, seq and part."""
        row = self.rows[index]
        return (type(row.line).__name__, row.line.seq, row.part)

    def index_of(self, key: Key) -> int | None:
        """Where a row is; the first of its line when the part is folded away."""
        if not isinstance(key, tuple):
            return None
        kind, seq, part = key
        index = bisect_left(self.rows, seq, key=lambda row: row.line.seq)
        first = None
        while index < len(self.rows) and self.rows[index].line.seq == seq:
            row = self.rows[index]
            if type(row.line).__name__ == kind:
                first = index if first is None else first
                if row.part == part:
                    return index
            index += 1
        return first

    def selectable(self, index: int) -> bool:
        """Every row may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One row of the log."""
        row = self.rows[index]
        line = row.line
        if isinstance(line, GapLine):
            said = self.lens.words(
                "log.gap",
                first=f"{line.from_seq:,}",
                last=f"{line.to_seq:,}",
                reason=line.reason,
            )
            return _rule(said, width, "waiting")
        if isinstance(line, NoticeLine):
            return _rule(self.lens.words(line.word, n=f"{line.count:,}"), width, "accent")
        if row.part > 0:
            indent = self.time_width + 1 + 2 + LABEL_WIDTH + 1
            return Paint(
                (
                    Piece("", indent - 2),
                    Piece("│ ", 2, "muted"),
                    Piece(row.text, width - indent, "muted" if line.tone == "muted" else ""),
                ),
                stale=self.stale,
            )
        return self._first_row(line, row.text, width)

    def _first_row(self, line: EventLine, text: str, width: int) -> Paint:
        lens = self.lens
        if lens.time_format is TimeFormat.RELATIVE:
            # While the feed is late or gone nobody knows the server's clock exactly.
            moment = "" if line.time_s is None else lens.age(lens.now_s - line.time_s)
        else:
            moment = format_moment(line.time_s, lens.now_s, lens.time_format)[-8:]
        mark = " "
        if line.more:
            mark = "▾" if self.is_open(line) else "▸"
        lane = f"{line.lane}│" if line.lane and line.lane != "lead" else ""
        return Paint(
            (
                Piece(moment, self.time_width, "muted", "right"),
                Piece(" ", 1),
                Piece(line.glyph, 2, line.tone),
                Piece(line.label, LABEL_WIDTH, line.tone),
                Piece(mark, 1, "muted"),
                Piece(lane + text, self.text_width, line.tone if line.tone == "failed" else ""),
                Piece(f"[{line.seq:,}]", width - self._before_seq(), "muted", "right"),
            ),
            stale=self.stale,
        )

    def _before_seq(self) -> int:
        return self.time_width + 1 + 2 + LABEL_WIDTH + 1 + self.text_width


def _rule(said: str, width: int, tone: str) -> Paint:
    """A line across the view with something to say."""
    return Paint((Piece(f"── {said} " + "─" * width, width, tone),))
