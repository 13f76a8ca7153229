"""One login: what it asks for, where it leads, what waits for it."""

from collections.abc import Iterable

from textual.widget import Widget

from runwatch_console.authrows import (
    AuthRow,
    account_auth_row,
    auth_rows,
    login_row,
    runs_blocked_by,
)
from runwatch_console.dialogs.base import Dialog
from runwatch_console.loginfacts import login_facts
from runwatch_console.messages import (
    AccountDeleteRequested,
    CopyRequested,
    LoginBeginRequested,
    LoginCancelRequested,
    LoginInputRequested,
    QrRequested,
    RunOpenRequested,
    RunsRequested,
)
from runwatch_console.screens.base import Host
from runwatch_console.state import ConsoleState
from runwatch_console.widgets.bindings import bindings_for
from runwatch_console.widgets.facts_text import facts_content
from runwatch_console.widgets.quiet_text import QuietText

LOOK_S = 1.0
"""A login is looked at again so often: its code expires while one reads."""


def login_of(state: ConsoleState, key: str) -> AuthRow | None:
    """The login as it is now, also one that is over; None when it is gone."""
    kind, _, name = key.partition(":")
    if kind == "account":
        return account_auth_row(name, state.fleet)
    row = next((row for row in auth_rows(state.fleet) if row.key == key), None)
    if row is None and kind == "run" and (run := state.fleet.runs.get(name)) is not None:
        return login_row(run, state.fleet, 0)
    return row


class LoginDialog(Dialog[None]):
    """Enter opens the login's own log, or the runs that wait for it; `Q` draws its address."""

    BINDINGS = bindings_for("login")

    def __init__(self, host: Host, row: AuthRow) -> None:
        super().__init__(host.state)
        self.host = host
        self.row = row

    @property
    def title_text(self) -> str:
        """Whose login."""
        word = "account.title" if self.row.key.startswith("account:") else "login.title"
        return self.state.words(word, account=self.row.account or self.row.agent)

    def compose_content(self) -> Iterable[Widget]:
        """Facts, then what the keys do."""
        yield QuietText(id="login-facts")
        yield QuietText(id="login-note")

    def on_mount(self) -> None:
        """Facts that go on."""
        self.show_row()
        self.set_interval(LOOK_S, self.show_row)

    def show_row(self) -> None:
        """The login as it is now, or that it is over."""
        state, words = self.host.state, self.state.words
        row = login_of(state, self.row.key)
        if row is not None:
            self.row = row
        note = words("login.over") if row is None else self._keys(row)
        facts = facts_content(login_facts(self.row, state.fleet, state.lens), state.lens)
        self.query_one("#login-facts", QuietText).say(facts)
        self.query_one("#login-note", QuietText).say(self.shown(note))

    def _keys(self, row: AuthRow) -> str:
        """What the keys do here; of a login that is over, first that it is."""
        words = self.state.words
        if row.under_way:
            keys = words("login.keys")
            return f"{words('login.keys_input')}\n{keys}" if row.asks else keys
        if row.run_id:
            return f"{words('login.over')}\n{words('login.keys_over')}"
        return words("login.keys_account" if row.key.startswith("account:") else "login.keys_node")

    def action_give_input(self) -> None:
        """Type what the agent asks for."""
        self.app.post_message(LoginInputRequested(self.row.key))

    def action_renew(self) -> None:
        """Log in once more."""
        row = self.row
        self.dismiss(None)
        name = row.account if row.account_id or row.run_id else ""
        self.app.post_message(LoginBeginRequested(agent=row.agent, account=name, node=row.node_id))

    def action_cancel(self) -> None:
        """End the login; asks first."""
        self.app.post_message(LoginCancelRequested(self.row.key))

    def action_delete(self) -> None:
        """Forget the account; asks first."""
        self.app.post_message(AccountDeleteRequested(self.row.key))

    def action_open(self) -> None:
        """The login's own log; of a node's login the runs that wait for it."""
        if self.row.run_id:
            self.dismiss(None)
            self.app.post_message(RunOpenRequested(self.row.run_id))
        elif self.row.blocks:
            self.dismiss(None)
            self.app.post_message(RunsRequested(runs_blocked_by(self.row)))

    def action_show_qr(self) -> None:
        """Its address as a QR code."""
        self.app.post_message(QrRequested(self.row.key))

    def action_copy_code(self) -> None:
        """Copy the code; where there is none, the account."""
        self.app.post_message(CopyRequested(self.row.code or self.row.account or self.row.agent))

    def action_copy_url(self) -> None:
        """Copy the address."""
        if self.row.url:
            self.app.post_message(CopyRequested(self.row.url))
