"""The servers known by name and how each answers; Enter switches to one."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from textual import work
from textual.widget import Widget
from textual.widgets import Static

from runwatch_console.dialogs.base import Dialog
from runwatch_console.lens import Lens
from runwatch_console.link import LinkState
from runwatch_console.servers import Listed, Servers, Standing
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.virtual_list import Key, Paint, Piece, VirtualList
from runwatch_shared.errors import SettingsError
from runwatch_shared.text import clean

NAME_CELLS: Final = 16
STANDING_CELLS: Final = 15
AT_ONCE: Final = 4
MOST_ROWS: Final = 12
_TONES: Final = {
    Standing.ANSWERS: "done",
    Standing.SILENT: "muted",
    Standing.UNTRUSTED: "waiting",
    Standing.CHANGED: "failed",
}
_HERE: Final = {
    LinkState.CONNECTING: ("link.connecting", "muted"),
    LinkState.LIVE: ("link.live", "running"),
    LinkState.LATE: ("link.late", "stalled"),
    LinkState.LOST: ("link.lost", "failed"),
}


class ServerRows:
    """One row a server: name, how it answers, address and credential."""

    def __init__(self, listed: Sequence[Listed], state: ConsoleState) -> None:
        self.listed = listed
        self.standings: dict[str, Standing | None] = {}
        """None: it cannot be asked."""
        self.lens: Lens = state.lens
        self._here = state.target.context
        self._link = state.link_state

    def __len__(self) -> int:
        return len(self.listed)

    def key_at(self, index: int) -> Key:
        """The name."""
        return self.listed[index].name

    def index_of(self, key: Key) -> int | None:
        """Where it is."""
        names = [each.name for each in self.listed]
        return names.index(key) if isinstance(key, str) and key in names else None

    def selectable(self, index: int) -> bool:
        """Every row may have the cursor."""
        return True

    def is_here(self, name: str) -> bool:
        """Whether the console looks at it now."""
        return name == self._here

    def paint(self, index: int, width: int) -> Paint:
        """One server."""
        each = self.listed[index]
        name = clean(each.name, limit=40, fold=True)
        said, tone = self._said(each)
        rest = max(0, width - NAME_CELLS - STANDING_CELLS - 3)
        if each.target is None:
            place = each.problem
        else:
            place = f"{each.target.server_url}  {each.target.credential}"
        return Paint(
            (
                Piece(f" {name}", NAME_CELLS, "id"),
                Piece(f" {said}", STANDING_CELLS, tone),
                Piece(" ", 1),
                Piece(clean(place, limit=400, fold=True), rest, "muted"),
            )
        )

    def _said(self, each: Listed) -> tuple[str, str]:
        words = self.lens.words
        if self.is_here(each.name):
            word, tone = _HERE[self._link]
            return words(word), tone
        if each.target is None:
            return words("ctx.unusable"), "failed"
        if each.name not in self.standings:
            return words("ctx.asking"), "muted"
        standing = self.standings[each.name]
        if standing is None:
            return words("ctx.unusable"), "failed"
        return words(f"ctx.{standing}"), _TONES[standing]


class ServersDialog(Dialog[str]):
    """Answers the name of the server to switch to."""

    AUTO_FOCUS = "#servers"

    def __init__(self, state: ConsoleState, servers: Servers, listed: Sequence[Listed]) -> None:
        super().__init__(state)
        self._servers = servers
        self._rows = ServerRows(listed, state)

    @property
    def title_text(self) -> str:
        """Servers."""
        return self.state.words("ctx.title")

    def compose_content(self) -> Iterable[Widget]:
        """The list, and where it comes from."""
        yield VirtualList(self._rows, ascii=self.state.preferences.ascii, id="servers")
        yield Static(self.state.words("ctx.note"), id="servers-note", markup=False)

    def on_mount(self) -> None:
        """The list at once; how each answers comes after it."""
        rows = self.query_one("#servers", VirtualList)
        rows.styles.height = min(len(self._rows), MOST_ROWS)
        rows.move_rows()
        self.ask()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def ask(self) -> None:
        """Ask a few at once, none for longer than a handshake may take."""
        gate = asyncio.Semaphore(AT_ONCE)
        names = [each.name for each in self._rows.listed if each.target is not None]
        async with asyncio.TaskGroup() as group:
            for name in names:
                if not self._rows.is_here(name):
                    group.create_task(self._ask(name, gate), name=f"standing of {name}")

    async def _ask(self, name: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                self._rows.standings[name] = await self._servers.standing(name)
            except SettingsError:
                self._rows.standings[name] = None
        if self.is_attached:
            self.query_one("#servers", VirtualList).repaint()

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """Switch to it."""
        event.stop()
        self.dismiss(str(event.key))
