"""The alert of a login that is no longer accepted: one an account, whatever number of runs fail."""

from collections.abc import Callable
from typing import Final

from runwatch_server.accounts.rows import AccountRow
from runwatch_server.alerts.row import AlertRow
from runwatch_server.ids import new_id
from runwatch_server.kept import KeptRow

NO_WORKFLOW: Final = b"null"

KeptAlertRule = Callable[[KeptRow | None, KeptRow, int], list[AlertRow]]


def expiry_rule(kinds: frozenset[str]) -> KeptAlertRule:
    """What the store applies to every kept row it saves (`storage.protocols.Rules`)."""

    def rule(before: KeptRow | None, after: KeptRow, now_us: int) -> list[AlertRow]:
        if "failed" not in kinds or not isinstance(after, AccountRow) or after.status != "expired":
            return []
        if not isinstance(before, AccountRow) or before.status != "authenticated":
            return []  # a login for it was tried in vain
        return [alert_row(before, after, now_us)]

    return rule


def alert_row(before: AccountRow, after: AccountRow, at_us: int) -> AlertRow:
    """A new alert about an account; names are its id, which has no character of note."""
    refused = after.last_401_us != before.last_401_us
    why = "it was refused" if refused else "it has expired"
    runs = "1 run waits" if after.blocked_runs == 1 else f"{after.blocked_runs} runs wait"
    waiting = f"; {runs}" if after.blocked_runs else ""
    return AlertRow(
        id=new_id("alert"),
        run_id=after.id,
        kind="failed",
        at_us=at_us,
        revision=after.revision,
        text=f"The login {after.id} is no longer accepted: {why}{waiting}",
        workflow=NO_WORKFLOW,
    )
