"""The lines of a comparison: both runs side by side where there is room, else one below the
other.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from runwatch_console.comparison import Call, Kind, Pair
from runwatch_console.comparison_text import (
    SIGN_TONES,
    SIGNS,
    call_duration,
    call_text,
    delta_text,
)
from runwatch_console.formats import format_count
from runwatch_console.lens import Lens
from runwatch_console.widgets.virtual_list import Key, Paint, Piece

DURATION_WIDTH = 7
DELTA_WIDTH = 8
SEQ_WIDTH = 9
GAP = Piece(" ", 1)


class DiffRow(NamedTuple):
    """A line: a pair by its index, both sides of it or one."""

    pair: int
    side: Literal["both", "left", "right"]


class DiffRows:
    """See the module. `stacked` puts the sides of a differing pair below each other."""

    def __init__(self, lens: Lens, pairs: Sequence[Pair] = (), *, stacked: bool = False) -> None:
        self.lens = lens
        self.pairs = pairs
        self.rows: list[DiffRow] = []
        self._index: dict[Key, int] = {}
        self.stack(stacked)

    def stack(self, stacked: bool) -> None:
        """Make the lines anew."""
        self.stacked = stacked
        self.rows = [row for index in range(len(self.pairs)) for row in self._rows_of(index)]
        self._index = {row: index for index, row in enumerate(self.rows)}

    def _rows_of(self, index: int) -> list[DiffRow]:
        pair = self.pairs[index]
        if not self.stacked or pair.kind is Kind.SAME:
            return [DiffRow(index, "both")]
        sides: list[DiffRow] = []
        if pair.left is not None:
            sides.append(DiffRow(index, "left"))
        if pair.right is not None:
            sides.append(DiffRow(index, "right"))
        return sides

    def index_of_pair(self, pair: int) -> int:
        """The first line of a pair."""
        rows = (DiffRow(pair, "both"), DiffRow(pair, "left"), DiffRow(pair, "right"))
        return next((self._index[row] for row in rows if row in self._index), 0)

    def __len__(self) -> int:
        return len(self.rows)

    def key_at(self, index: int) -> Key:
        """The line itself."""
        return self.rows[index]

    def index_of(self, key: Key) -> int | None:
        """Where the line is."""
        return self._index.get(key)

    def selectable(self, index: int) -> bool:
        """Every line may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One line."""
        row = self.rows[index]
        pair = self.pairs[row.pair]
        sign = Piece(SIGNS[pair.kind], 2, SIGN_TONES[pair.kind])
        if row.side != "both" or self.stacked:
            return Paint((sign, *self._stacked(pair, row, width - 2)))
        room = width - 2 - 1 - DELTA_WIDTH - 3
        left = room // 2
        return Paint(
            (
                sign,
                *self._side(pair.left, left),
                Piece(" │ ", 3, "muted"),
                *self._side(pair.right, room - left),
                GAP,
                Piece(delta_text(pair), DELTA_WIDTH, "muted", "right"),
            )
        )

    def _stacked(self, pair: Pair, row: DiffRow, width: int) -> tuple[Piece, ...]:
        call = pair.right if row.side == "right" else pair.left
        name = {"both": "  ", "left": "A ", "right": "B "}[row.side]
        delta = delta_text(pair) if row.side != "left" else ""
        return (
            Piece(name, 2, SIGN_TONES[pair.kind]),
            *self._side(call, width - 2 - 1 - DELTA_WIDTH),
            GAP,
            Piece(delta, DELTA_WIDTH, "muted", "right"),
        )

    def _side(self, call: Call | None, width: int) -> tuple[Piece, ...]:
        text, tone = call_text(call)
        seq = "" if call is None else f"[{format_count(call.seq)}]"
        room = max(0, width - DURATION_WIDTH - SEQ_WIDTH - 2)
        return (
            Piece(text, room, tone),
            GAP,
            Piece(call_duration(call), DURATION_WIDTH, "muted", "right"),
            GAP,
            Piece(seq, min(SEQ_WIDTH, max(0, width - room - 2 - DURATION_WIDTH)), "id", "right"),
        )
