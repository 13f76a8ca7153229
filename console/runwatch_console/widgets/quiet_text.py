"""Text that is laid out again only when it is another text."""

from textual.content import Content
from textual.widgets import Static


class QuietText(Static):
    """A `Static` of plain or styled content, never of markup.

    `Static.update` asks for a new layout of the whole screen; with twenty states a second that
    would be most of the work.

    Args:
        fixed: The sheet gives its size, whatever it says: no text asks for a layout.
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

    def say(self, text: str | Content) -> None:
        """Show this text."""
        content = Content(text) if isinstance(text, str) else text
        said = (content.plain, tuple(content.spans))
        if said != self._said:
            self._said = said
            self.update(content, layout=not self._fixed)
