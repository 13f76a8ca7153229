"""Text that is laid out again only when it is another text, and drawn again only where it is."""

from typing import Self

from textual.content import Content
from textual.geometry import Region
from textual.widgets import Static


class QuietText(Static):
    """A `Static` of plain or styled content, never of markup.

    `Static.update` asks for a new layout of the whole screen; with twenty states a second that
    would be most of the work.

    Args:
        fixed: The sheet gives its size, whatever it says: no text asks for a layout, and only
            lines that differ are drawn again: one age of many facts changes every second.
    """

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
        fixed: bool = False,
    ) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._fixed = fixed
        self._said: tuple[object, ...] = ("", ())
        self._lines: list[Content] = []
        self._lines_width = 0
        self._differing: list[Region] | None = None

    def say(self, text: str | Content) -> None:
        """Show this text."""
        content = Content(text) if isinstance(text, str) else text
        said = (content.plain, tuple(content.spans))
        if said != self._said:
            self._said = said
            self._differing = self._find_differing(content) if self._fixed else None
            self.update(content, layout=not self._fixed)
            self._differing = None

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """See Textual's; while a text is said, only the lines that differ."""
        if self._differing is not None and not regions:
            regions, repaint = tuple(self._differing), bool(self._differing)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _find_differing(self, content: Content) -> list[Region] | None:
        """The lines that differ, in the widget; None: any may."""
        width = self.content_size.width
        if not width:
            return None
        before, before_width = self._lines, self._lines_width
        self._lines, self._lines_width = content.wrap(width), width
        if before_width != width:
            return None
        top, across = self.gutter.top, self.outer_size.width
        longest = max(len(before), len(self._lines))
        return [
            Region(0, top + y, across, 1)
            for y in range(longest)
            if not _same(before[y : y + 1], self._lines[y : y + 1])
        ]


def _same(one: list[Content], other: list[Content]) -> bool:
    """Whether two lines read and look alike."""
    return [(line.plain, line.spans) for line in one] == [
        (line.plain, line.spans) for line in other
    ]
