"""One line of toned text that draws only the cells that changed."""

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from runwatch_console.lens import as_ascii
from runwatch_console.widgets.cells import fit
from runwatch_console.widgets.toned import Toned

Span = tuple[str, str]
"""Text and tone."""


class TextLine(Toned):
    """Spans from the left, and spans at the right edge which win when both do not fit."""

    DEFAULT_CSS = "TextLine { height: 1; }"

    def __init__(
        self,
        *,
        ascii: bool = False,  # noqa: A002 - what it is
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.ascii = ascii
        self.left: tuple[Span, ...] = ()
        self.right: tuple[Span, ...] = ()

    def show(self, left: tuple[Span, ...], right: tuple[Span, ...] = ()) -> None:
        """Show these spans; what stays the same is not drawn again."""
        if (left, right) == (self.left, self.right):
            return
        before = self._cells()
        self.left, self.right = left, right
        after = self._cells()
        if before == after or len(before) != len(after):
            self.refresh()
            return
        changed = [
            x for x, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]
        ]
        first, end = changed[0], changed[-1] + 1
        # The second cell of a wide character is empty before and after it: it has to be drawn too.
        while end < len(after) and not after[end][0]:
            end += 1
        self.refresh(Region(first, 0, end - first, 1))

    @property
    def plain(self) -> str:
        """What it says, without styles."""
        return "".join(text for text, _ in self._spans(self.size.width))

    def render_line(self, y: int) -> Strip:
        """The strip of the line."""
        base = self.rich_style
        width = self.size.width
        if y > 0:
            return Strip.blank(width, base)
        segments = [Segment(text, base + self.tone(tone)) for text, tone in self._spans(width)]
        return Strip(segments).adjust_cell_length(width, base)

    def _spans(self, width: int) -> list[Span]:
        right = [(self._drawn(text), tone) for text, tone in self.right]
        right_width = sum(cell_len(text) for text, _ in right)
        if right_width > width:
            right, right_width = [], 0
        room = width - right_width
        spans: list[Span] = []
        for text, tone in self.left:
            drawn = self._drawn(text)
            length = cell_len(drawn)
            if length > room:
                if _is_rule(drawn):
                    spans.append((drawn[:room], tone))
                elif room > 1:
                    spans.append((fit(drawn, room, ellipsis="~" if self.ascii else "…"), tone))
                room = 0
                break
            spans.append((drawn, tone))
            room -= length
        if room > 0:
            spans.append((" " * room, ""))
        return spans + right

    def _drawn(self, text: str) -> str:
        return as_ascii(text) if self.ascii else text

    def _cells(self) -> list[tuple[str, str]]:
        """One entry a cell: the character in it and its tone; the second half of a wide one is
        empty.
        """
        cells: list[tuple[str, str]] = []
        for text, tone in self._spans(self.size.width):
            for character in text:
                cells.append((character, tone))
                cells.extend([("", tone)] * (cell_len(character) - 1))
        return cells


def _is_rule(text: str) -> bool:
    """Whether it is one character again and again, which may be cut anywhere."""
    return len(text) > 3 and len(set(text)) == 1
