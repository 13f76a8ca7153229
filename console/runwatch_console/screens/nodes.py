"""Screen 4: the nodes, what each was given and what it says of itself."""

from collections.abc import Iterable

from textual.widget import Widget

from runwatch_console.facts import node_facts
from runwatch_console.messages import (
    EnvironmentRequested,
    InstancesRequested,
    LedgerRequested,
    ProxiesRequested,
    RowOpenRequested,
)
from runwatch_console.ordering import PACE_S, QUIET_S
from runwatch_console.rows import NodeRow
from runwatch_console.screens.base import ConsoleScreen, Host
from runwatch_console.screens.empty import nodes_empty
from runwatch_console.statustext import Span
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.column_header import ColumnHeader
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.node_rows import NodeRows
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.virtual_list import Key, VirtualList


class NodesScreen(ConsoleScreen):
    """See the module."""

    BINDINGS = bindings_for("nodes")
    OWNERS = ("list", "nodes", "browse", "app")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.source = NodeRows(
            self.state.fleet, self.state.lens, self.state.preferences.columns.get("nodes", ())
        )
        self._ordered_mono_s = float("-inf")

    def compose_body(self) -> Iterable[Widget]:
        """Header, table and the facts of the node under the cursor."""
        yield ColumnHeader(self.source.columns, self.state, id="header")
        rows = VirtualList(self.source, ascii=self.state.preferences.ascii, id="rows")
        rows.opener = self.open_row
        yield rows
        yield QuietText(id="empty")
        yield QuietText(id="facts")

    @property
    def rows(self) -> VirtualList:
        """The table."""
        return self.query_one("#rows", VirtualList)

    @property
    def node_here(self) -> NodeRow | None:
        """The node under the cursor."""
        key = self.rows.cursor_key
        return self.state.fleet.nodes.get(key) if isinstance(key, str) else None

    def on_mount(self) -> None:
        """Keys go to the table."""
        self.focus_body()

    def focus_body(self) -> None:
        """The table."""
        self.set_focus(self.rows)

    def title_spans(self) -> tuple[Span, ...]:
        """`Nodes 5 of 6 online · slots 15 of 24`."""
        nodes = self.state.fleet.nodes.values()
        online = [node for node in nodes if node.reachable]
        text = self.state.words("nodes.count", n=len(online), total=len(nodes))
        used = sum(node.allocated for node in online)
        slots = sum(node.capacity for node in online)
        tone = "muted" if self.state.stale else "title"
        return (
            (text, tone),
            (f" · {self.state.words('nodes.slots', used=used, total=slots)}", "muted"),
        )

    def key_facts(self) -> tuple[Span, ...]:
        """Why some columns are `?`, where the facts have no room."""
        shown = any(node.slots is None for node in self.state.fleet.nodes.values())
        return ((f"{self.state.words('nodes.no_ledger')} ", "unknown"),) if shown else ()

    def show_state(self) -> None:
        """New facts at once; a new order only when nobody is at the keys."""
        state = self.state
        self.source.fleet, self.source.lens = state.fleet, state.lens
        quiet = state.hand_mono_s - state.last_key_mono_s >= QUIET_S
        rested = state.hand_mono_s - self._ordered_mono_s >= PACE_S
        ids = self.source.order() if not self.source.ids or (quiet and rested) else self.source.ids
        if ids != self.source.ids:
            self._ordered_mono_s = state.hand_mono_s
            self.source.ids = ids
            self.rows.move_rows()
        else:
            self.rows.touch_rows()
        empty = nodes_empty(state)
        self.query_one("#empty", QuietText).say(empty)
        self.set_class(bool(empty.plain), "-empty")
        self._show_facts()

    def _show_facts(self) -> None:
        node = self.node_here
        lens = self.state.lens
        facts = node_facts(node, lens) if node is not None else []
        self.query_one("#facts", QuietText).say(facts_content(facts, lens))

    def on_virtual_list_moved(self, event: VirtualList.Moved) -> None:
        """Facts follow the cursor."""
        self._show_facts()

    async def open_row(self, _: Key) -> None:
        """The runs of the node."""
        if (node := self.node_here) is not None:
            await self.host.show_runs(f"node:{node.id} s:active")

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """A click opens too, in its turn."""
        self.post_message(RowOpenRequested(self.open_row, event.key))

    def needle_changed(self) -> None:
        """Highlight in the table."""
        self.rows.needle = self.needle
        self.rows.repaint()

    def action_search_next(self, step: int) -> None:
        """The next node that says what is searched."""
        if self.needle is None:
            return
        for offset in range(1, len(self.source) + 1):
            index = (self.rows.cursor + step * offset) % len(self.source)
            paint = self.source.paint(index, self.rows.row_width)
            if self.needle.search(" ".join(piece.text for piece in paint.pieces)):
                self.rows.go_to(index)
                return
        self.tell("search.none", text=self.needle_text)

    def action_ledger(self) -> None:
        """What the node was given against what it says runs there."""
        if (node := self.node_here) is not None:
            self.post_message(LedgerRequested(node.id))

    def action_instances(self) -> None:
        """The instances of the node; without one all."""
        node = self.node_here
        self.post_message(InstancesRequested(node.id if node is not None else ""))

    def action_proxies(self) -> None:
        """The proxies."""
        node = self.node_here
        self.post_message(ProxiesRequested(node.id if node is not None else ""))

    def action_environment(self) -> None:
        """What the node's runs are started with."""
        if (node := self.node_here) is not None:
            self.post_message(EnvironmentRequested(node.id))

    def action_copy_id(self) -> None:
        """Copy the node's id."""
        if (node := self.node_here) is not None:
            self.copy(node.id)

    def action_copy_line(self) -> None:
        """Copy the row as it reads."""
        if len(self.source):
            paint = self.source.paint(self.rows.cursor, self.rows.row_width)
            self.copy(" ".join(piece.text.strip() for piece in paint.pieces if piece.text.strip()))
