"""Screen 5: logins of agents, those under way with their codes, accounts, and what nodes say."""

from collections.abc import Iterable

from textual import work
from textual.content import Content
from textual.widget import Widget

from runwatch_console.authcolumns import AUTH_COLUMNS
from runwatch_console.authrows import NEEDING, AuthRow, auth_rows
from runwatch_console.messages import (
    AccountDeleteRequested,
    LoginBeginRequested,
    LoginCancelRequested,
    LoginInputRequested,
    LoginOpenRequested,
    QrRequested,
)
from runwatch_console.ordering import PACE_S, QUIET_S
from runwatch_console.ports import ApiError
from runwatch_console.screens.base import Host
from runwatch_console.screens.empty import waiting_text
from runwatch_console.screens.table import TableScreen
from runwatch_console.statustext import Span
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.column_header import ColumnHeader
from runwatch_console.widgets.quiet_text import QuietText
from runwatch_console.widgets.table_rows import TableRows
from runwatch_console.widgets.virtual_list import VirtualList

LOGINS_MANAGED = "operations"
"""The feature of a server that manages logins (contract 3)."""


class AuthScreen(TableScreen):
    """See the module."""

    BINDINGS = bindings_for("auth")
    OWNERS = ("list", "auth", "browse", "app")

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.source: TableRows[AuthRow] = TableRows(
            AUTH_COLUMNS, lambda row: row.key, self.state.lens
        )
        self.managed: bool | None = None
        """Whether the server manages logins; None while it is not known."""
        self._asked = False
        self._ordered_mono_s = float("-inf")

    def compose_body(self) -> Iterable[Widget]:
        """What the server does of it, header and table."""
        yield QuietText(id="auth-note")
        yield ColumnHeader(self.source.columns, self.state, id="header")
        yield VirtualList(self.source, ascii=self.state.preferences.ascii, id="rows")
        yield QuietText(id="empty")

    @property
    def row_here(self) -> AuthRow | None:
        """The login under the cursor."""
        return self.source.row_of(self.rows.cursor_key)

    @property
    def run_id_here(self) -> str:
        """The workflow of the login under the cursor."""
        row = self.row_here
        return row.run_id if row is not None else ""

    def title_spans(self) -> tuple[Span, ...]:
        """`Auth 2 of 7 need you`."""
        rows = self.source.rows
        bad = sum(1 for row in rows if row.state in NEEDING)
        tone = "muted" if self.state.stale else "title"
        return ((self.state.words("auth.count", n=bad, total=len(rows)), tone),)

    def show_state(self) -> None:
        """Contents at once; a new order only when nobody is at the keys."""
        state = self.state
        self.source.lens = state.lens
        found = auth_rows(state.fleet)
        quiet = state.now_mono_s - state.last_key_mono_s >= QUIET_S
        rested = state.now_mono_s - self._ordered_mono_s >= PACE_S
        newest = {row.key: row for row in found}
        same = newest.keys() == {row.key for row in self.source.rows}
        if not len(self.source) or (quiet and rested):
            self._ordered_mono_s = state.now_mono_s
            if found != self.source.rows:
                self.source.set_rows(found)
                self.rows.move_rows()
        elif same:
            self.source.set_rows([newest[row.key] for row in self.source.rows])
        self.rows.touch_rows()
        self._show_notes()
        if not self._asked and state.link.connected and self.in_sight:
            self._asked = True
            self.ask_features()

    def on_screen_resume(self) -> None:
        """Look again: another server may answer."""
        self._asked = False
        super().on_screen_resume()

    def _show_notes(self) -> None:
        words, state = self.state.words, self.state
        # A login under way is the better proof.
        under_way = any(row.run_id for row in self.source.rows)
        note = words("auth.unmanaged") if self.managed is False and not under_way else ""
        self.query_one("#auth-note", QuietText).say(Content(note))
        self.query_one("#auth-note").display = bool(note)
        empty = ""
        if not state.fleet.loaded:
            empty = waiting_text(state)
        elif not len(self.source):
            empty = words("empty.no_logins")
        self.query_one("#empty", QuietText).say(Content(empty))
        self.set_class(bool(empty), "-empty")

    @work(exclusive=True, group="features", exit_on_error=False)
    async def ask_features(self) -> None:
        """Whether this server manages logins; without an answer nothing is said of it."""
        connection = await self.host.connection()
        try:
            info = await connection.api.server_info()
        except ApiError:
            return
        self.managed = LOGINS_MANAGED in info.features
        if self.is_whole:
            self._show_notes()

    # Actions.

    def on_virtual_list_opened(self, event: VirtualList.Opened) -> None:
        """The login with all that is known of it."""
        if (row := self.row_here) is not None:
            self.post_message(LoginOpenRequested(row.key))

    def action_begin(self) -> None:
        """Begin a login; for the agent and node under the cursor where one is missing."""
        row = self.row_here
        if row is not None and row.state == "missing":
            self.post_message(LoginBeginRequested(agent=row.agent, node=row.node_id))
        else:
            self.post_message(LoginBeginRequested())

    def action_renew(self) -> None:
        """Log the account under the cursor in once more."""
        if (row := self.row_here) is not None:
            name = row.account if row.account_id or row.run_id else ""
            self.post_message(LoginBeginRequested(agent=row.agent, account=name, node=row.node_id))

    def action_give_input(self) -> None:
        """Type what the agent of a login asks for."""
        if (row := self.row_here) is not None:
            self.post_message(LoginInputRequested(row.key))

    def action_cancel(self) -> None:
        """End the login under the cursor; asks first."""
        if (row := self.row_here) is not None:
            self.post_message(LoginCancelRequested(row.key))

    def action_delete(self) -> None:
        """Forget the account under the cursor; asks first."""
        if (row := self.row_here) is not None:
            self.post_message(AccountDeleteRequested(row.key))

    def action_show_qr(self) -> None:
        """The address as a QR code."""
        row = self.row_here
        if row is not None and row.url:
            self.post_message(QrRequested(row.key))
        else:
            self.tell("auth.no_url")

    def action_copy_id(self) -> None:
        """Copy the code; where there is none, the account."""
        if (row := self.row_here) is not None:
            self.copy(row.code or row.account or row.agent)

    def action_copy_url(self) -> None:
        """Copy the address."""
        row = self.row_here
        if row is not None and row.url:
            self.copy(row.url)
        else:
            self.tell("auth.no_url")
