"""The list of runs where rows may be missing: keys that move the cursor step by step stop before
such a place, for its rows are on their way; keys that send it somewhere do not.
"""

from collections.abc import Callable

from runwatch_console.widgets.virtual_list import RowSource, VirtualList


class PagedList(VirtualList):
    """See the module.

    Args:
        holes: Indices of the lines that cannot be passed now.
    """

    def __init__(
        self,
        source: RowSource,
        holes: Callable[[], tuple[int, ...]],
        *,
        ascii: bool = False,  # noqa: A002 - what it is
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(source, ascii=ascii, id=id)
        self._holes = holes

    def reach(self, index: int) -> int:
        """The row next to the first hole on the way, or the row itself."""
        for hole in sorted(self._holes(), reverse=index < self.cursor):
            if self.cursor < hole <= index:
                return hole - 1
            if index <= hole < self.cursor:
                return hole + 1
        return index
