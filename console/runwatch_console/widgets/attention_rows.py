"""The rows of the home screen, as the virtual list wants them."""

from rich.cells import cell_len

from runwatch_console.attention import Heading, Item, attention_keys, attention_row
from runwatch_console.columns import short_id
from runwatch_console.fleet import Fleet
from runwatch_console.formats import UNKNOWN, format_age
from runwatch_console.lens import Lens
from runwatch_console.ordering import PACE_S, QUIET_S
from runwatch_console.widgets.virtual_list import Key, Paint, Piece


class AttentionRows:
    """Headings and items by key; what left the fleet stays, dimmed, until the order is applied
    again.
    """

    def __init__(self, fleet: Fleet, lens: Lens) -> None:
        self.fleet = fleet
        self.lens = lens
        self.keys: tuple[str, ...] = ()
        self._index: dict[str, int] = {}
        self._ordered_mono_s = float("-inf")

    def due(self, now_mono_s: float, last_key_mono_s: float) -> bool:
        """Whether rows may come, go and move: nobody is at the keys, or there is nothing yet."""
        nothing_yet = len(self.keys) <= 1
        if nothing_yet and self.fleet.changed is None:
            return True
        rested = now_mono_s - self._ordered_mono_s >= PACE_S
        return rested and (nothing_yet or now_mono_s - last_key_mono_s >= QUIET_S)

    def order(self, server_now_s: float, now_mono_s: float) -> bool:
        """Apply the order anew; gives whether it is another one."""
        self._ordered_mono_s = now_mono_s
        keys = attention_keys(self.fleet, server_now_s)
        if keys == self.keys:
            return False
        self.keys = keys
        self._index = {key: index for index, key in enumerate(keys)}
        return True

    def __len__(self) -> int:
        return len(self.keys)

    def key_at(self, index: int) -> Key:
        """`run:<id>`, `node:<id>`, `queue` or `part:<name>`."""
        return self.keys[index]

    def index_of(self, key: Key) -> int | None:
        """Where the row is."""
        return self._index.get(key) if isinstance(key, str) else None

    def selectable(self, index: int) -> bool:
        """Headings are passed over."""
        return not self.keys[index].startswith("part:")

    def paint(self, index: int, width: int) -> Paint:
        """A heading or an item."""
        key = self.keys[index]
        row = attention_row(key, self.keys, self.fleet, self.lens)
        if row is None:
            text = f"{key.partition(':')[2]} {self.lens.words('row.gone')}"
            return Paint((Piece(text, width, "muted"),), stale=True)
        if isinstance(row, Heading):
            return self._heading(row, width)
        return self._item(row, width)

    def _heading(self, row: Heading, width: int) -> Paint:
        words = self.lens.words
        title = words(f"part.{row.part}", n=row.shown, total=row.total)
        note_width = min(cell_len(row.note), max(0, width - cell_len(title) - 2))
        pieces = (
            Piece(title, width - note_width, "heading"),
            Piece(row.note, note_width, "muted", "right"),
        )
        return Paint(pieces, heading=True, stale=self.lens.stale)

    def _item(self, item: Item, width: int) -> Paint:
        lens = self.lens
        since_s = None if item.since_s is None else lens.now_s - item.since_s
        age = format_age(since_s) if item.ended else lens.age(since_s)
        note_width = 0 if width < 70 else 9 if width < 90 else 12
        name_width = 10 if width < 90 else 14 if width < 120 else 22
        id_width = 11 if width < 90 else 12
        fixed = 9 + 1 + 7 + 1 + id_width + 1 + note_width + (1 if note_width else 0)
        name_width = name_width if item.name else 0
        why_width = max(0, width - fixed - (name_width + 1 if name_width else 0))
        pieces = [
            Piece(lens.look(item.look), 9, item.look.tone),
            Piece(" ", 1),
            Piece(age if since_s is not None else UNKNOWN, 7, "", "right"),
            Piece(" ", 1),
            Piece(short_id(item.id), id_width, "id"),
            Piece(" ", 1),
        ]
        if name_width:
            pieces += [Piece(item.name, name_width), Piece(" ", 1)]
        tone = "waiting" if item.look.tone == "waiting" else ""
        pieces.append(Piece(item.why, why_width, tone))
        if note_width:
            pieces += [Piece(" ", 1), Piece(item.note, note_width, "muted", "right")]
        return Paint(tuple(pieces), stale=lens.stale)
