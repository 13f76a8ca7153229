"""What a login's agent asks for, typed unseen: the code that the vendor's page gave."""

from collections.abc import Iterable, Mapping

from runwatch_console.authrows import AuthRow
from runwatch_console.dialogs.form import Field, FormDialog, FormError
from runwatch_console.ops.logins import give_input
from runwatch_console.ports import ApiError, Asking
from runwatch_console.screens.base import Host

NOT_WAITING = "invalid_transition"


class LoginInputDialog(FormDialog[bool]):
    """Answers True when the server took it."""

    SUBMIT = "login.give"
    FIELD_OF = {"text": "code"}

    def __init__(self, host: Host, row: AuthRow) -> None:
        self.row = row
        super().__init__(host)

    @property
    def title_text(self) -> str:
        """What the agent says."""
        asks = self.row.asks or self.state.words("login.code_page")
        return self.state.words("login.give_title", account=self.row.account, asks=asks)

    def make_fields(self) -> Iterable[Field]:
        """One, which is not shown."""
        yield Field(
            id="code", label="fact.code", kind="secret", hint="login.give_hint", longest=4096
        )

    async def send(self, api: Asking, values: Mapping[str, str]) -> bool:
        """Give it, once."""
        text = values["code"].strip()
        if not text:
            raise FormError("code", "new.missing")
        try:
            await give_input(api, self.row.run_id, text)
        except ApiError as error:
            if error.code == NOT_WAITING:
                raise FormError("code", "login.not_asked") from error
            raise
        return True
