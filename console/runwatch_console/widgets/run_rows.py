"""The rows of the Runs table, as the virtual list wants them."""

from collections.abc import Mapping, Sequence
from typing import Final

from runwatch_console.columns import RUN_COLUMNS, Column, Fitted, chosen_columns, fit_columns
from runwatch_console.fleet import Fleet
from runwatch_console.lens import Lens
from runwatch_console.rows import RunRow
from runwatch_console.widgets.virtual_list import Key, Paint, Piece

ABOVE: Final = "\0above"
BELOW: Final = "\0below"
"""Keys of the lines that stand where rows are missing; no id is like them."""
_PLACES: Final = frozenset({ABOVE, BELOW})


class RunRows:
    """Runs in a given order. A run that left the fleet stays, dimmed, until the order is applied
    again.
    """

    def __init__(self, fleet: Fleet, lens: Lens, columns: Sequence[str] = ()) -> None:
        self.fleet = fleet
        self.lens = lens
        self.ids: tuple[str, ...] = ()
        self.beyond: Mapping[str, RunRow] = {}
        """Rows that the fleet does not hold."""
        self.place_text = ""
        """What is said where rows are missing."""
        self._index: dict[str, int] = {}
        self._last: dict[str, RunRow] = {}
        self._columns: list[Column[RunRow]] = chosen_columns(RUN_COLUMNS, columns)
        self._fitted: list[Fitted[RunRow]] = []
        self._fitted_width = -1
        self._painted: dict[str, tuple[RunRow | None, Paint]] = {}
        self._painted_for: object = None

    def set_ids(self, ids: tuple[str, ...]) -> None:
        """Show these runs in this order."""
        self.ids = ids
        self._index = {run_id: index for index, run_id in enumerate(ids)}
        # One that has left keeps what it said as long as it stands here.
        self._last = {run_id: row for run_id, row in self._last.items() if run_id in self._index}

    def choose_columns(self, names: Sequence[str]) -> None:
        """Show these columns, by their ids and in this order; none: all."""
        self._columns = chosen_columns(RUN_COLUMNS, names)
        self._fitted_width = -1
        self._painted_for = None

    def columns(self, width: int) -> list[Fitted[RunRow]]:
        """The columns at a width, with their own widths."""
        if width != self._fitted_width:
            self._fitted = fit_columns(self._columns, width)
            self._fitted_width = width
        return self._fitted

    def run_of(self, run_id: str) -> RunRow | None:
        """The run as it is now: what is read page by page is older than what the feed said."""
        return self.fleet.runs.get(run_id) or self.beyond.get(run_id)

    @property
    def run_count(self) -> int:
        """Rows that are runs."""
        return len(self.ids) - sum(place in self._index for place in _PLACES)

    def __len__(self) -> int:
        return len(self.ids)

    def key_at(self, index: int) -> Key:
        """The run's id."""
        return self.ids[index]

    def index_of(self, key: Key) -> int | None:
        """Where the run is."""
        return self._index.get(key) if isinstance(key, str) else None

    def selectable(self, index: int) -> bool:
        """Every run may have the cursor."""
        return self.ids[index] not in _PLACES

    def paint(self, index: int, width: int) -> Paint:
        """One row of the table; that of the same run within the same second is kept."""
        run_id = self.ids[index]
        if run_id in _PLACES:
            return Paint((Piece(f"── {self.place_text} " + "─" * width, width, "muted"),))
        run = self.run_of(run_id)
        lens = self.lens
        now = (width, int(lens.now_s), lens.stale, lens.ascii, lens.time_format, lens.words)
        if now != self._painted_for:
            self._painted_for = now
            self._painted.clear()
        kept = self._painted.get(run_id)
        if kept is not None and kept[0] is run:
            if run is not None:
                self._last[run_id] = run
            return kept[1]
        paint = self._paint(run_id, run, width)
        self._painted[run_id] = (run, paint)
        return paint

    def _paint(self, run_id: str, run: RunRow | None, width: int) -> Paint:
        gone = run is None
        if run is None:
            run = self._last.get(run_id)
        else:
            self._last[run_id] = run
        if run is None:
            text = f"{run_id} {self.lens.words('row.gone')}"
            return Paint((Piece(text, width, "muted"),), stale=True)
        pieces = []
        for fitted in self.columns(width):
            text, tone = fitted.column.cell(run, self.lens)
            pieces.append(Piece(text, fitted.width, tone, fitted.column.align))
            pieces.append(_GAP)
        return Paint(tuple(pieces[:-1]), stale=gone or self.lens.stale)


_GAP = Piece(" ", 1)
