"""How many queued runs wait for a login, kept on the account: counted along the commits, written
now and then, so that a thousand runs that begin to wait are one change of the account.
"""

import asyncio
from collections import Counter
from typing import Final

import msgspec

from runwatch_server.accounts.book import MOST_LISTED
from runwatch_server.accounts.rows import AccountRow
from runwatch_server.rows import RunRow
from runwatch_server.steady import keep_going
from runwatch_server.storage.protocols import Commit, Query, ReadTx, Writer, WriteTx
from runwatch_shared.tasks import TaskOwner

EVERY_S: Final = 0.5
PAGE: Final = 1000


class BlockedRuns:
    """Which runs wait for which account. Event loop only; `start` writes what it comes to."""

    def __init__(self, writer: Writer, *, every_s: float = EVERY_S) -> None:
        self._writer = writer
        self._every_s = every_s
        self._accounts: dict[str, str] = {}
        """By run."""
        self._changed = asyncio.Event()

    def load(self, tx: ReadTx) -> None:
        """Take everything from the store; before the first commit."""
        self._accounts = {}
        query = Query(status=("queued",), sort="start_time", descending=False, limit=PAGE)
        while rows := tx.runs.page(query):
            for row in rows:
                self._follow(row)
            last = rows[-1]
            query = msgspec.structs.replace(query, after=(last.created_us, last.id))
        self._changed.set()

    def on_commit(self, commit: Commit) -> None:
        for change in commit.runs:
            if change.after is not None:
                self._follow(change.after)
            elif change.before is not None:
                self._forget(change.before.id)
        if any(isinstance(change.after, AccountRow) for change in commit.kept):
            self._changed.set()

    def counts(self) -> Counter[str]:
        """By account."""
        return Counter(self._accounts.values())

    def start(self, owner: TaskOwner) -> None:
        """Start the task that writes; its owner ends it."""
        self._changed.set()
        owner.spawn(keep_going(self._step, name="blocked-runs"), name="blocked-runs")

    async def write(self) -> None:
        """Bring the accounts to what was counted."""
        self._changed.clear()
        counts = self.counts()
        try:
            await self._writer.write(lambda tx: bring(tx, counts))
        except BaseException:
            self._changed.set()
            raise

    async def _step(self) -> None:
        await self._changed.wait()
        await self.write()
        await asyncio.sleep(self._every_s)

    def _follow(self, row: RunRow) -> None:
        blocked = row.status == "queued" and row.queue_reason_code == "login_missing"
        if blocked and row.account_id is not None:
            if self._accounts.get(row.id) != row.account_id:
                self._accounts[row.id] = row.account_id
                self._changed.set()
        else:
            self._forget(row.id)

    def _forget(self, run_id: str) -> None:
        if self._accounts.pop(run_id, None) is not None:
            self._changed.set()


def bring(tx: WriteTx, counts: Counter[str]) -> None:
    """Write the numbers that differ."""
    kept = tx.kept(AccountRow)
    for account in kept.find(limit=MOST_LISTED):
        if account.blocked_runs != counts[account.id]:
            kept.save(msgspec.structs.replace(account, blocked_runs=counts[account.id]))
