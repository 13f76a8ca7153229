"""What a terminal of some size would show after some output: text alone, no colours; and links.

As much of ECMA-48 and xterm as login programs use: cursor moves, erasing, scrolling, wrapping, the
other screen, hyperlinks (OSC 8). Whatever else is a control is read over. Standard library only.
"""

import codecs
import re
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST_LINKS: Final = 100
MOST_GONE: Final = 2000
"""Lines kept that the screen no longer has."""
MOST_SEQUENCE_CHARS: Final = 64 * 1024
"""A longer control sequence is none."""
TAB: Final = 8
SEQUENCE: Final = re.compile(
    "\x1b\\[([0-?]*)([ -/]*)([@-~])"  # CSI
    "|\x1b\\]([^\x07\x1b\x9c]*)(?:\x07|\x1b\\\\|\x9c)"  # OSC
    "|\x1b[PX^_][^\x1b\x9c]*(?:\x1b\\\\|\x9c)"  # DCS, SOS, PM, APC
    "|\x1b[ -/]+[0-~]|\x1b([0-OQ-WYZ\\\\`-~])"
)
UNFINISHED: Final = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*|\\][^\x07\x1b\x9c]*\x1b?|[PX^_][^\x1b\x9c]*\x1b?|[ -/]*)\\Z"
)
PLAIN: Final = re.compile("[^\x00-\x1f\x7f\x80-\x9f]+")


@dataclass(slots=True)
class Grid:
    """The cells of a screen; a cell is a character, empty behind a wide one."""

    rows: list[list[str]]
    joined: list[bool]
    """Whether a row goes on in the next one."""


class Screen:
    """A terminal's screen. Rows and columns are counted from 0."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.links: list[str] = []
        """Targets of hyperlinks in the order they came, each once."""
        self.gone: deque[str] = deque(maxlen=MOST_GONE)
        """Lines that were scrolled out or cleared away."""
        self._grid = self._empty()
        self._other: Grid | None = None
        self._y = self._x = 0
        self._kept = (0, 0)
        self._top, self._bottom = 0, rows - 1
        self._past_end = False
        """The last column was written: what comes next begins a row."""
        self._held = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._moves: dict[str, Callable[[list[int]], None]] = {
            "A": lambda n: self._move(dy=-_one(n)),
            "B": lambda n: self._move(dy=_one(n)),
            "C": lambda n: self._move(dx=_one(n)),
            "D": lambda n: self._move(dx=-_one(n)),
            "E": lambda n: self._place(self._y + _one(n), 0),
            "F": lambda n: self._place(self._y - _one(n), 0),
            "G": lambda n: self._place(self._y, _one(n) - 1),
            "`": lambda n: self._place(self._y, _one(n) - 1),
            "d": lambda n: self._place(_one(n) - 1, self._x),
            "H": lambda n: self._place(_one(n) - 1, _one(n, 1) - 1),
            "f": lambda n: self._place(_one(n) - 1, _one(n, 1) - 1),
            "J": self._erase_screen,
            "K": self._erase_line,
            "L": lambda n: self._shift_here(_one(n)),
            "M": lambda n: self._shift_here(-_one(n)),
            "S": lambda n: self._shift_rows(self._top, -_one(n)),
            "T": lambda n: self._shift_rows(self._top, _one(n)),
            "P": self._delete_cells,
            "X": lambda n: self._blank(self._y, self._x, self._x + _one(n)),
            "@": self._insert_cells,
            "s": lambda n: self._keep(),
            "u": lambda n: self._take_back(),
            "r": self._set_margins,
        }

    def feed(self, data: bytes) -> None:
        """Show what a program wrote, wherever it is cut."""
        text = self._held + self._decoder.decode(data)
        self._held = ""
        at = 0
        while at < len(text):
            if (plain := PLAIN.match(text, at)) is not None:
                self._write(plain.group())
                at = plain.end()
                continue
            if text[at] != "\x1b":
                self._control(text[at])
                at += 1
                continue
            found = SEQUENCE.match(text, at)
            if found is not None:
                self._sequence(found)
                at = found.end()
            elif UNFINISHED.match(text, at) and len(text) - at < MOST_SEQUENCE_CHARS:
                self._held = text[at:]
                return
            else:
                at += 1

    @property
    def lines(self) -> list[str]:
        """What is shown, wrapped rows as one line, without blanks at ends and empty last lines."""
        found = _lines(self._grid)
        while found and not found[-1]:
            found.pop()
        return found

    @property
    def behind(self) -> list[str]:
        """What is shown again once a program leaves the other screen."""
        return [line for line in _lines(self._other) if line] if self._other else []

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column."""
        return self._y, self._x

    def _empty(self) -> Grid:
        return Grid([[" "] * self.columns for _ in range(self.rows)], [False] * self.rows)

    def _write(self, text: str) -> None:
        for char in text:
            width = _width(char)
            if width == 0:
                continue
            if self._past_end or self._x + width > self.columns:
                self._grid.joined[self._y] = True
                self._x = 0
                self._line_feed(joined=True)
            row = self._grid.rows[self._y]
            row[self._x] = char
            if width == 2:
                row[self._x + 1] = ""
            self._x += width
            self._past_end = self._x >= self.columns
            if self._past_end:
                self._x = self.columns - 1

    def _control(self, char: str) -> None:
        match char:
            case "\r":
                self._place(self._y, 0)
            case "\n" | "\v" | "\f":
                self._line_feed()
            case "\b":
                self._move(dx=-1)
            case "\t":
                self._place(self._y, min(self.columns - 1, (self._x // TAB + 1) * TAB))

    def _sequence(self, found: "re.Match[str]") -> None:
        numbers, between, final, link, single = found.groups()
        if link is not None:
            self._link(link)
        elif single is not None:
            self._escape(single)
        elif final is not None and not between:
            if numbers[:1] in "<=>?" and numbers:
                self._mode(numbers, final)
            elif final in self._moves:
                self._moves[final]([int(n) if n else 0 for n in re.split("[;:]", numbers)])

    def _escape(self, single: str) -> None:
        match single:
            case "7":
                self._keep()
            case "8":
                self._take_back()
            case "D":
                self._line_feed()
            case "E":
                self._line_feed()
                self._place(self._y, 0)
            case "M":
                if self._y == self._top:
                    self._shift_rows(self._top, 1)
                else:
                    self._move(dy=-1)
            case "c":
                self._clear_away()
                self._place(0, 0)

    def _mode(self, numbers: str, final: str) -> None:
        if final not in "hl" or not {"?47", "?1047", "?1049"} & {numbers}:
            return
        if final == "h" and self._other is None:
            self._keep()
            self._other, self._grid = self._grid, self._empty()
        elif final == "l" and self._other is not None:
            self.gone.extend(line for line in _lines(self._grid) if line)
            self._grid, self._other = self._other, None
            self._take_back()

    def _link(self, text: str) -> None:
        """``8;PARAMETERS;TARGET``."""
        kind, _, rest = text.partition(";")
        target = rest.partition(";")[2]
        if kind == "8" and target and target not in self.links and len(self.links) < MOST_LINKS:
            self.links.append(target)

    def _move(self, dy: int = 0, dx: int = 0) -> None:
        top = self._top if self._y >= self._top else 0
        bottom = self._bottom if self._y <= self._bottom else self.rows - 1
        self._y = min(max(self._y + dy, top), bottom)
        self._x = min(max(self._x + dx, 0), self.columns - 1)
        self._past_end = False

    def _place(self, y: int, x: int) -> None:
        self._y = min(max(y, 0), self.rows - 1)
        self._x = min(max(x, 0), self.columns - 1)
        self._past_end = False

    def _line_feed(self, *, joined: bool = False) -> None:
        if self._y == self._bottom:
            self._shift_rows(self._top, -1)
        elif self._y < self.rows - 1:
            self._y += 1
        if not joined:
            self._past_end = False
        self._past_end = False

    def _shift_rows(self, first: int, by: int) -> None:
        """Down by so many rows from ``first`` to the lower margin, up where negative."""
        if not self._top <= first <= self._bottom:
            return
        rows, joined = self._grid.rows, self._grid.joined
        for _ in range(min(abs(by), self._bottom - first + 1)):
            gone = first if by < 0 else self._bottom
            come = self._bottom if by < 0 else first
            line = _line(rows.pop(gone))
            joined.pop(gone)
            if by < 0 and line:
                self.gone.append(line)
            rows.insert(come, [" "] * self.columns)
            joined.insert(come, False)
        self._past_end = False

    def _shift_here(self, by: int) -> None:
        self._shift_rows(self._y, by)
        self._place(self._y, 0)

    def _erase_screen(self, numbers: list[int]) -> None:
        match numbers[0]:
            case 0:
                self._blank(self._y, self._x, self.columns)
                first, last = self._y + 1, self.rows
            case 1:
                self._blank(self._y, 0, self._x + 1)
                first, last = 0, self._y
            case 2:
                self._clear_away()
                return
            case _:
                return
        for y in range(first, last):
            self._blank(y, 0, self.columns)

    def _clear_away(self) -> None:
        self.gone.extend(line for line in _lines(self._grid) if line)
        self._grid = self._empty()

    def _erase_line(self, numbers: list[int]) -> None:
        match numbers[0]:
            case 0:
                self._blank(self._y, self._x, self.columns)
            case 1:
                self._blank(self._y, 0, self._x + 1)
            case 2:
                self._blank(self._y, 0, self.columns)

    def _blank(self, y: int, start: int, end: int) -> None:
        row = self._grid.rows[y]
        if start == 0 and end >= self.columns and (line := _line(row)):
            self.gone.append(line)
        end = min(end, self.columns)
        row[start:end] = [" "] * (end - start)
        if end >= self.columns:
            self._grid.joined[y] = False
        self._past_end = False

    def _delete_cells(self, numbers: list[int]) -> None:
        row, count = self._grid.rows[self._y], min(_one(numbers), self.columns - self._x)
        del row[self._x : self._x + count]
        row.extend([" "] * count)
        self._past_end = False

    def _insert_cells(self, numbers: list[int]) -> None:
        row, count = self._grid.rows[self._y], min(_one(numbers), self.columns - self._x)
        row[self._x : self._x] = [" "] * count
        del row[self.columns :]
        self._past_end = False

    def _set_margins(self, numbers: list[int]) -> None:
        top = max(numbers[0], 1) - 1
        bottom = (numbers[1] if len(numbers) > 1 and numbers[1] else self.rows) - 1
        if 0 <= top < min(bottom, self.rows - 1):
            self._top, self._bottom = top, min(bottom, self.rows - 1)
            self._place(0, 0)

    def _keep(self) -> None:
        self._kept = (self._y, self._x)

    def _take_back(self) -> None:
        self._place(*self._kept)


def _one(numbers: list[int], at: int = 0) -> int:
    """The number at that place, 1 where there is none or 0."""
    return (numbers[at] if at < len(numbers) else 0) or 1


def _line(row: list[str]) -> str:
    return "".join(row).rstrip()


def _lines(grid: Grid) -> list[str]:
    found: list[str] = []
    held = ""
    for row, joined in zip(grid.rows, grid.joined, strict=True):
        if joined:
            held += "".join(row)
            continue
        found.append((held + "".join(row)).rstrip())
        held = ""
    return [*found, held.rstrip()] if held else found


def _width(char: str) -> int:
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
