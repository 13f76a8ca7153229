"""The list of saved views: built in and the user's own; Enter shows one, a chord deletes one."""

from collections.abc import Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.lens import Lens
from runwatch_console.state import ConsoleState
from runwatch_console.views import View
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.virtual_list import Key, Paint, Piece, VirtualList
from runwatch_shared.text import clean

NAME_CELLS = 20
SORT_CELLS = 18


class ViewRows:
    """One row a view: name, whose it is, order, filter."""

    def __init__(self, views: Sequence[View], lens: Lens) -> None:
        self.views = list(views)
        self.lens = lens

    def __len__(self) -> int:
        return len(self.views)

    def key_at(self, index: int) -> Key:
        """The view's name."""
        return self.views[index].name

    def index_of(self, key: Key) -> int | None:
        """Where the view is."""
        names = [view.name for view in self.views]
        return names.index(key) if isinstance(key, str) and key in names else None

    def selectable(self, index: int) -> bool:
        """Every row may have the cursor."""
        return True

    def paint(self, index: int, width: int) -> Paint:
        """One view."""
        view = self.views[index]
        words = self.lens.words
        sort = words(f"sort.{view.saved.sort}") + (" ↑" if view.saved.reversed else "")
        text = clean(view.saved.filter, limit=400, fold=True)
        text = f"!({text})" if view.saved.inverted and text else text
        left = max(0, width - NAME_CELLS - SORT_CELLS - 12)
        return Paint(
            (
                Piece(clean(view.name, limit=80, fold=True), NAME_CELLS, "id" if view.own else ""),
                Piece(f" {words('view.own' if view.own else 'view.given')}", 11, "muted"),
                Piece(sort, SORT_CELLS, "muted"),
                Piece(" ", 1),
                Piece(text or words("view.every"), left, "accent" if text else "muted"),
            )
        )


class ViewsDialog(Dialog[tuple[str, str]]):
    """Answers what to do and the view's name: (`show` or `delete`, name)."""

    BINDINGS = bindings_for("views")
    AUTO_FOCUS = "#views"

    def __init__(self, state: ConsoleState, views: Sequence[View]) -> None:
        super().__init__(state)
        self._rows = ViewRows(views, state.lens)

    @property
    def title_text(self) -> str:
        """Saved views."""
        return self.state.words("view.title")

    def compose_content(self) -> Iterable[Widget]:
        """The list, and how views come to be."""
        yield VirtualList(self._rows, ascii=self.state.preferences.ascii, id="views")
        yield Static(self.state.words("view.note"), id="views-note", markup=False)

    def on_mount(self) -> None:
        """As many lines as there are views; the list scrolls where that is too much."""
        rows = self.query_one("#views", VirtualList)
        rows.styles.height = len(self._rows)
        rows.move_rows()

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Show it."""
        event.stop()
        self.dismiss(("show", str(event.key)))

    def action_delete(self) -> None:
        """Delete the one under the cursor; who is asked comes next."""
        rows = self.query_one("#views", VirtualList)
        view = self._rows.views[rows.cursor]
        if view.own:
            self.dismiss(("delete", view.name))
        else:
            words = self.state.words
            self.notify(words("view.built_in", name=view.name), markup=False, timeout=4)
