"""What is done about logins and accounts: begun, fed, cancelled, renewed, forgotten. Loaded with
the first of them.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

from runwatch_console.authrows import AuthRow
from runwatch_console.dialogs.login import LoginDialog, login_of
from runwatch_console.messages import (
    AccountDeleteRequested,
    LoginBeginRequested,
    LoginCancelRequested,
    LoginInputRequested,
    LoginMessage,
    LoginOpenRequested,
    QrRequested,
)
from runwatch_console.ops import logins
from runwatch_console.ports import ApiError
from runwatch_shared.logins import OperationMade
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.answers import Answers
    from runwatch_console.app import ConsoleApp

SEEN_S: Final = 10.0
"""So long the feed has to bring what the server said it has begun."""
LOOK_S: Final = 0.05


class LoginAnswers:
    """See the module."""

    def __init__(self, answers: "Answers") -> None:
        self.answers = answers
        self.app: ConsoleApp = answers.app

    def answer(self, request: LoginMessage) -> None:
        """Do what is asked, or begin it."""
        match request:
            case LoginOpenRequested():
                self._open(request.key)
            case QrRequested():
                self._show_qr(request.key)
            case LoginBeginRequested():
                self._begin(request)
            case LoginInputRequested():
                self._feed(request.key)
            case LoginCancelRequested():
                self._ask_to_cancel(request.key)
            case AccountDeleteRequested():
                self._ask_to_delete(request.key)
            case _:
                raise AssertionError(f"nothing answers {request!r}")

    def _row(self, key: str) -> AuthRow | None:
        return login_of(self.app.state, key)

    def _open(self, key: str) -> None:
        if (row := self._row(key)) is not None:
            self.app.push_screen(LoginDialog(self.app, row))

    def _show_qr(self, key: str) -> None:
        from runwatch_console.dialogs.login_qr import LoginQrDialog

        if (row := self._row(key)) is not None:
            self.app.push_screen(LoginQrDialog(self.app, row))

    # Begun.

    def _begin(self, asked: LoginBeginRequested) -> None:
        from runwatch_console.dialogs.begin_login import BeginLoginDialog

        if self.answers.may_write():
            dialog = BeginLoginDialog(
                self.app, agent=asked.agent, account=asked.account, node=asked.node
            )
            self.app.push_screen(dialog, self._begun)

    def _begun(self, made: OperationMade | None) -> None:
        if made is not None:
            self.app.tell("login.begun")
            self._open_when_seen(clean(made.action_id))

    def _open_when_seen(self, action_id: str) -> None:
        """Show the login as soon as the feed tells of it, if nothing else was opened meanwhile."""

        def look() -> None:
            if action_id in self.app.state.fleet.runs:
                timer.stop()
                if self.app.at_screen:
                    self._open(f"run:{action_id}")

        timer = self.app.set_interval(LOOK_S, look, repeat=round(SEEN_S / LOOK_S))

    # Fed.

    def _feed(self, key: str) -> None:
        from runwatch_console.dialogs.login_input import LoginInputDialog

        row = self._row(key)
        if row is None or not row.under_way:
            self.app.tell("login.none_under_way", severity="warning")
        elif self.answers.may_write():
            self.app.push_screen(LoginInputDialog(self.app, row), self._fed)

    def _fed(self, given: bool | None) -> None:
        if given:
            self.app.tell("login.given")

    # Ended.

    def _ask_to_cancel(self, key: str) -> None:
        row = self._row(key)
        if row is None or not row.under_way:
            self.app.tell("login.none_under_way", severity="warning")
            return
        self.answers.ask(
            "login.cancel_title",
            "login.cancel_effect",
            partial(self._cancel, row.operation or row.run_id, row.account),
            account=row.account,
            blocks=row.blocks,
        )

    async def _cancel(self, operation_id: str, account: str) -> None:
        connection = await self.app.connection()
        try:
            await logins.cancel_login(connection.api, operation_id)
        except ApiError as error:
            self.answers.say_refused(error)
        else:
            self.app.tell("login.cancelled", account=account)

    def _ask_to_delete(self, key: str) -> None:
        row = self._row(key)
        if row is None or row.account_id not in self.app.state.fleet.accounts:
            self.app.tell("account.none", severity="warning")
            return
        self.answers.ask(
            "account.delete_title",
            "account.delete_effect",
            partial(self._delete, row.account_id, row.account),
            account=row.account,
            nodes=row.node or "–",
            blocks=row.blocks,
        )

    async def _delete(self, account_id: str, account: str) -> None:
        connection = await self.app.connection()
        try:
            await logins.delete_account(connection.api, account_id, purge=True)
        except ApiError as error:
            self.answers.say_refused(error)
        else:
            self.app.tell("account.deleted", account=account)
