"""The rows of the Nodes table, as the virtual list wants them."""

from collections.abc import Sequence

from runwatch_console.columns import NODE_COLUMNS, Fitted, chosen_columns, fit_columns
from runwatch_console.fleet import Fleet
from runwatch_console.lens import Lens
from runwatch_console.rows import NodeRow
from runwatch_console.widgets.virtual_list import Key, Paint, Piece

_RANK = {"offline": 0, "unhealthy": 1, "draining": 2, "maintenance": 3, "online": 4}


class NodeRows:
    """Nodes, those in trouble first, then by name."""

    def __init__(self, fleet: Fleet, lens: Lens, columns: Sequence[str] = ()) -> None:
        self.fleet = fleet
        self.lens = lens
        self.ids: tuple[str, ...] = ()
        self._columns = chosen_columns(NODE_COLUMNS, columns)

    def order(self) -> tuple[str, ...]:
        """The ids in order of trouble."""
        nodes = self.fleet.nodes.values()
        ranked = sorted(nodes, key=lambda node: (_RANK.get(node.status, 0), node.name, node.id))
        return tuple(node.id for node in ranked)

    def columns(self, width: int) -> list[Fitted[NodeRow]]:
        """The columns at a width, with their own widths."""
        return fit_columns(self._columns, width)

    def __len__(self) -> int:
        return len(self.ids)

    def key_at(self, index: int) -> Key:
        """The node's id."""
        return self.ids[index]

    def index_of(self, key: Key) -> int | None:
        """Where the node is."""
        return self.ids.index(key) if isinstance(key, str) and key in self.ids else None

    def selectable(self, index: int) -> bool:
        """Every row may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One row of the table."""
        node = self.fleet.nodes.get(self.ids[index])
        if node is None:
            text = f"{self.ids[index]} {self.lens.words('row.gone')}"
            return Paint((Piece(text, width, "muted"),), stale=True)
        pieces = []
        for fitted in self.columns(width):
            text, tone = fitted.column.cell(node, self.lens)
            pieces.append(Piece(text, fitted.width, tone, fitted.column.align))
            pieces.append(Piece(" ", 1))
        return Paint(tuple(pieces[:-1]), stale=self.lens.stale)
