"""A JSON value that folds, line by line."""

from typing import Any, Final

from rich.cells import cell_len

from runwatch_console.jsonlines import JsonLine, Path, fold_path, foldable_paths, json_lines
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.cells import fit, wrap
from runwatch_console.widgets.virtual_list import Key, Paint, Piece, VirtualList

DEEPEST = 8
KEY_WIDTH = 24
NOTHING: Final = object()
"""Stands where no value has been shown yet; ``null`` is a value."""


class JsonRows:
    """The lines of a value; texts too long for the width go on below."""

    def __init__(self) -> None:
        self.value: Any = NOTHING
        self.folded: frozenset[Path] = frozenset()
        self.lines: list[tuple[JsonLine, int, str]] = []
        self.width = 40

    def rebuild(self) -> None:
        """Make the lines anew."""
        self.lines = []
        if self.value is NOTHING:
            return
        for line in json_lines(self.value, self.folded):
            room = max(8, self.width - _indent(line) - 2 - cell_len(_key(line)))
            for part, text in enumerate(wrap(line.text, room)):
                self.lines.append((line, part, text))

    def __len__(self) -> int:
        return len(self.lines)

    def key_at(self, index: int) -> Key:
        """Path and part."""
        line, part, _ = self.lines[index]
        return (line.path, part)

    def index_of(self, key: Key) -> int | None:
        """Where a line is."""
        found = (i for i, (line, part, _) in enumerate(self.lines) if (line.path, part) == key)
        return next(found, None)

    def selectable(self, index: int) -> bool:
        """Every line may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One line."""
        line, part, text = self.lines[index]
        indent = _indent(line)
        fold = ("▸ " if line.folded else "▾ ") if line.foldable else "  "
        key = _key(line)
        if part > 0:
            indent += cell_len(key)
            return Paint((Piece("", indent + 2), Piece(text, width - indent - 2, line.tone)))
        pieces = [Piece("", indent), Piece(fold, 2, "muted")]
        used = indent + 2
        if key:
            pieces.append(Piece(key, cell_len(key), "json-key"))
            used += cell_len(key)
        pieces.append(Piece(text, max(0, width - used), line.tone))
        return Paint(tuple(pieces))


def _indent(line: JsonLine) -> int:
    """Cells before a line; beyond a depth it goes no further, so that there is room for values."""
    return 2 * min(line.depth, DEEPEST)


def _key(line: JsonLine) -> str:
    """The key as it is shown, not longer than leaves room for its value."""
    if not line.key:
        return ""
    key = line.key if cell_len(line.key) <= KEY_WIDTH else fit(line.key, KEY_WIDTH)
    return f"{key}: "


class JsonView(VirtualList):
    """A list over `JsonRows`."""

    BINDINGS = bindings_for("json")

    def __init__(self, *, ascii: bool = False, id: str | None = None) -> None:  # noqa: A002 - see VirtualList
        self.json_rows = JsonRows()
        super().__init__(self.json_rows, ascii=ascii, id=id)

    def show(self, value: Any) -> None:
        """Show another value, all of it unfolded."""
        if value == self.json_rows.value:
            return
        self.json_rows.value = value
        self.json_rows.folded = frozenset()
        self.cursor, self.cursor_key = 0, None
        self._renew()
        self._scroll_top(0)

    def action_fold(self) -> None:
        """Fold or unfold the line under the cursor, or what it is in."""
        rows = self.json_rows
        if not rows.lines:
            return
        rows.folded = rows.folded ^ {fold_path(rows.lines[self.cursor][0])}
        self._renew()

    def action_fold_all(self) -> None:
        """Fold all below the root, or unfold all."""
        rows = self.json_rows
        rows.folded = frozenset() if rows.folded else foldable_paths(rows.value)
        self._renew()

    def on_resize(self) -> None:
        """Texts are wrapped to the width."""
        self._renew()
        super().on_resize()

    def _renew(self) -> None:
        self.json_rows.width = self.row_width or self.json_rows.width
        self.json_rows.rebuild()
        self._strips.clear()
        self.move_rows()
