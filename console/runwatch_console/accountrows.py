"""An account as the console needs it, made from the wire record with its texts harmless; pure."""

from typing import TYPE_CHECKING, Final

from runwatch_console.formats import moment_s
from runwatch_console.rows import Row, short

if TYPE_CHECKING:
    from runwatch_shared.models import Account

MOST_NODES: Final = 1_000
EXPIRING_S: Final = 24 * 3600.0
"""A login that ends within a day wants to be renewed."""


class AccountRow(Row, frozen=True, kw_only=True):
    """A login of an agent type, and the nodes that hold it (contract 13)."""

    id: str
    name: str
    agent: str
    status: str
    nodes: tuple[str, ...]
    expires_s: float | None
    used_s: float | None
    last_401_s: float | None
    blocked: int
    """Queued runs that wait for it."""
    created_s: float | None
    stored: bool
    """Whether the server keeps a sealed copy of it."""
    revision: int

    def state_at(self, now_s: float) -> str:
        """pending, authenticating, ok, expiring or expired: the status, and what the clock says."""
        if self.status != "authenticated":
            return self.status
        if self.expires_s is None or not now_s:
            return "ok"
        if self.expires_s <= now_s:
            return "expired"
        return "expiring" if self.expires_s - now_s < EXPIRING_S else "ok"


def account_row(account: "Account") -> AccountRow:
    """A row from an account; cleans every text that came from outside."""
    return AccountRow(
        id=short(account.id),
        name=short(account.name),
        agent=short(account.agent_type),
        status=account.status,
        nodes=tuple(short(node) for node in account.nodes[:MOST_NODES]),
        expires_s=moment_s(account.expires_at),
        used_s=moment_s(account.last_used_at),
        last_401_s=moment_s(account.last_401_at),
        blocked=account.blocked_runs,
        created_s=moment_s(account.created_at),
        stored=account.volume_archive_key is not None,
        revision=account.revision,
    )
