"""What happens to logins because time passed; domain, over a transaction. When is in `sweeper`."""

from typing import Final

from runwatch_server.accounts import archives, holding, life
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import FINAL_ACTION_STATUSES

SECOND_US: Final = 1_000_000
MOST_DUE: Final = 100
KEPT_ENDED: Final = 300
"""Ended logins are listed together with runs, which costs 15 µs each; of more the oldest go."""
KEPT_S: Final = 30 * 86400


def sweep(tx: WriteTx) -> bool:
    """Do what is due now; whether there is more."""
    actions = tx.kept(ActionRow).due(tx.now_us, limit=MOST_DUE)
    for action in actions:
        life.expire(tx, action)
    accounts = tx.kept(AccountRow).due(tx.now_us, limit=MOST_DUE)
    for account in accounts:
        holding.expire(tx, account)
    more = archives.sweep(tx)
    return more or len(actions) == MOST_DUE or len(accounts) == MOST_DUE


def prune(tx: WriteTx, settings: ServerSettings, *, limit: int) -> int:
    """Remove logins that ended long ago; gives how many went."""
    kept_s = settings.retention.events_s or KEPT_S
    before_us = tx.now_us - kept_s * SECOND_US
    ended = tx.kept(ActionRow).find(status=FINAL_ACTION_STATUSES, limit=KEPT_ENDED + limit)
    beyond = len(ended) - KEPT_ENDED
    gone = 0
    for number, row in enumerate(ended[:limit]):
        if number < beyond or (row.finished_us or row.updated_us) < before_us:
            tx.kept(ActionRow).delete(row.id)
            gone += 1
    return gone
