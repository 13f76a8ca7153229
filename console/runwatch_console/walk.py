"""A list at the server, walked page by page from its head or from its tail: a window of its rows is
held, and it is known how to come by those before and after it; pure.

Every page is asked for by the cursor the one before it gave, so that nothing is left out and
nothing comes twice; a page that was let go is asked for again by the cursor it was had with.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from runwatch_console.rows import RunRow

PAGE_ROWS: Final = 200
MOST_PAGES: Final = 15
"""So many are held: 3,000 rows."""
MOST_BARREN: Final = 10
"""So many pages in a row without a row that is shown are asked for of itself."""
Side = Literal["above", "below"]


class Ask(NamedTuple):
    """A page to ask for: its number from where the walk began, and its cursor."""

    number: int
    cursor: str | None


class Taken(NamedTuple):
    """What a page did to the window."""

    came: Sequence[RunRow]
    gone: Sequence[str]


class Walk:
    """See the module.

    Args:
        query: What is asked for (contract 6.1); of a walk from the tail with its order turned
            round.
        from_tail: Pages are added above, and the rows of each stand in falling order.
    """

    def __init__(
        self, query: Mapping[str, str], *, from_tail: bool = False, most_pages: int = MOST_PAGES
    ) -> None:
        self.query = query
        self.from_tail = from_tail
        self.asking: Ask | None = None
        """Under way: never more than one."""
        self.problem = ""
        """Why the last one failed, clean; until it is tried again."""
        self.spoiled = False
        """Whether there is no way on but from the begin."""
        self.barren = 0
        """Pages in a row that brought nothing to be shown."""
        self.looked_at = 0
        """Rows of pages that were read for the first time."""
        self._most_pages = most_pages
        self._pages: deque[list[RunRow]] = deque()
        self._first = 0
        """Number of the first page that is held, counted from where the walk began."""
        self._cursors: list[str | None] = [None]
        self._at_end = False
        """Whether the last page known is the last there is."""
        self._rows: dict[str, RunRow] = {}

    @property
    def rows(self) -> Mapping[str, RunRow]:
        """Those that are held, by id."""
        return self._rows

    @property
    def begun(self) -> bool:
        """Whether a page came."""
        return bool(self._pages)

    @property
    def _near(self) -> bool:
        """Whether pages were let go on the side where the walk began."""
        return self._first > 0

    @property
    def _far(self) -> bool:
        """Whether there is more on the side it goes to."""
        return not (self._at_end and self._first + len(self._pages) == len(self._cursors))

    def more(self, side: Side) -> bool:
        """Whether rows on that side of the window are not held."""
        return self._far if (side == "above") == self.from_tail else self._near

    def edge_row(self, side: Side) -> RunRow | None:
        """The outermost row of the window on a side, in the server's order."""
        pages = self._pages if (side == "above") != self.from_tail else reversed(self._pages)
        rows = next((page for page in pages if page), None)
        if rows is None:
            return None
        return rows[0] if (side == "above") != self.from_tail else rows[-1]

    def ask(self, side: Side) -> Ask | None:
        """The page to ask for next on a side; None: there is none, or one is under way already."""
        if self.asking is not None or self.problem or not self.more(side):
            return None
        far = (side == "above") == self.from_tail
        number = self._first + len(self._pages) if far else self._first - 1
        self.asking = Ask(number, self._cursors[number])
        return self.asking

    def take(self, ask: Ask, rows: Sequence[RunRow], next_cursor: str | None) -> Taken:
        """A page came. The one that is farthest from it is let go where there are too many."""
        self.asking = None
        if ask.number == self._first + len(self._pages):
            if ask.number + 1 == len(self._cursors):
                self.looked_at += len(rows)
                if next_cursor is None:
                    self._at_end = True
                else:
                    self._cursors.append(next_cursor)
            self._pages.append(list(rows))
            dropped = self._pages.popleft() if len(self._pages) > self._most_pages else []
            self._first += bool(dropped)
        else:
            self._pages.appendleft(list(rows))
            self._first -= 1
            dropped = self._pages.pop() if len(self._pages) > self._most_pages else []
        came = [row for row in rows if row.id not in self._rows]
        self._rows.update((row.id, row) for row in rows)
        gone = [row.id for row in dropped if self._rows.pop(row.id, None) is not None]
        return Taken(came, gone)

    def refused(self, problem: str, *, for_good: bool = False) -> None:
        """The page did not come; `for_good`: its cursor is known no more."""
        self.asking = None
        self.problem = problem
        self.spoiled = for_good

    def forget(self, run_id: str) -> bool:
        """The run is no more; whether it was held."""
        return self._rows.pop(run_id, None) is not None

    def held(self) -> Iterator[RunRow]:
        """The rows in the order in which the server has them."""
        pages = reversed(self._pages) if self.from_tail else self._pages
        for page in pages:
            rows = reversed(page) if self.from_tail else page
            yield from (row for row in rows if row.id in self._rows)
