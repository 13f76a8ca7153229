"""The rows of the Auth table: logins under way or just failed, accounts, and what nodes say of
theirs; pure. The columns are in `authcolumns`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from runwatch_console.accountrows import AccountRow
from runwatch_console.fleet import Fleet
from runwatch_console.looks import (
    ASSIGNED,
    DONE,
    FAIL,
    QUEUE,
    SLOW,
    WAIT,
    Look,
    look_of_run,
)
from runwatch_console.looks import UNKNOWN as UNKNOWN_LOOK
from runwatch_console.rows import NodeRow, RunRow

BLOCKED: Final = "login_missing"
"""The code of a queue that waits for a login (contract 12)."""
FAILED_S: Final = 3600.0
"""A login that failed is news for an hour, or until the next one of its account."""
NEEDING: Final = frozenset({"login", "failed", "missing", "expired"})
"""States that want somebody."""


class AuthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One login: under way or over (`run_id` names its workflow), an account (`account_id` and no
    `run_id`), or one that a node has of its own.
    """

    key: str
    account: str
    """The account's name where it is known, else its id."""
    agent: str
    node: str
    """Where; of an account the nodes that hold it."""
    state: str
    """login, failed, cancelled or done of a login; pending authenticating ok expiring expired of
    an account; ok expiring expired missing of a node's."""
    look: Look
    code: str
    url: str
    expires_s: float | None
    blocks: int
    run_id: str
    stale: bool
    """The node that said so is silent: it may be different by now."""
    account_id: str = ""
    node_id: str = ""
    operation: str = ""
    method: str = ""
    phase: str = ""
    message: str = ""
    asks: str = ""
    """What the agent wants typed; empty while it wants nothing."""
    error: str = ""
    error_code: str = ""
    last_401_s: float | None = None
    used_s: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether it is a login that has not ended."""
        return self.state == "login"


_LOOKS: Final[Mapping[str, Look]] = {
    "ok": DONE,
    "expiring": SLOW,
    "expired": FAIL,
    "missing": WAIT,
    "pending": QUEUE,
    "authenticating": ASSIGNED,
}
_RANK: Final[Mapping[str, int]] = {
    "login": 0,
    "failed": 1,
    "missing": 2,
    "expired": 3,
    "expiring": 4,
    "pending": 5,
    "authenticating": 5,
    "ok": 6,
}
_ENDS: Final[Mapping[str, str]] = {"success": "done", "cancelled": "cancelled"}


def runs_blocked_by(row: AuthRow) -> str:
    """The filter of the runs that wait for this login."""
    return f"s:queue agent:{row.agent} why:{BLOCKED}"


def auth_rows(fleet: Fleet) -> list[AuthRow]:
    """Logins under way first, then those that failed, are missing or bad, then the good ones."""
    blocked = Counter(
        run.agent
        for run in fleet.runs.values()
        if run.status == "queued" and run.queue_code == BLOCKED
    )
    logins = [run for run in fleet.runs.values() if run.type == "auth"]
    under_way = [run for run in logins if not run.ended]
    busy = {run.login.account for run in under_way if run.login is not None}
    rows = [login_row(run, fleet, blocked[run.agent]) for run in under_way]
    rows += [login_row(run, fleet, blocked[run.agent]) for run in _just_failed(logins, busy, fleet)]
    for account in fleet.accounts.values():
        if account.id not in busy:
            rows.append(_of_account(account, fleet))
    for node in fleet.nodes.values():
        rows += _of_node(node, blocked, fleet)
    return sorted(rows, key=lambda row: (_RANK.get(row.state, 5), row.agent, row.account, row.node))


def _just_failed(logins: list[RunRow], busy: set[str], fleet: Fleet) -> Iterator[RunRow]:
    """The newest login of each account, where it failed lately and none is under way."""
    newest: dict[str, RunRow] = {}
    for run in logins:
        account = run.login.account if run.login is not None else ""
        before = newest.get(account)
        if before is None or (run.created_s or 0.0) >= (before.created_s or 0.0):
            newest[account] = run
    for account, run in newest.items():
        if account in busy or run.status not in ("failed", "timeout"):
            continue
        if fleet.server_s is None or (run.ended_s or 0.0) >= fleet.server_s - FAILED_S:
            yield run


def login_row(run: RunRow, fleet: Fleet, blocks: int) -> AuthRow:
    """A login as its workflow tells it; also of one that is over."""
    login = run.login
    account_id = login.account if login is not None else ""
    account = fleet.accounts.get(account_id)
    over = run.ended
    return AuthRow(
        key=f"run:{run.id}",
        account=account.name if account is not None else account_id or run.name,
        agent=run.agent,
        node=run.node,
        state=_ENDS.get(run.status, "failed") if over else "login",
        look=look_of_run(run),
        code=login.code if login is not None and not over else "",
        url=login.url if login is not None and not over else "",
        expires_s=login.expires_s if login is not None and not over else None,
        blocks=max(blocks, account.blocked if account is not None else 0),
        run_id=run.id,
        stale=False,
        account_id=account_id,
        node_id=run.node,
        operation=login.operation if login is not None else "",
        method=login.method if login is not None else "",
        phase=login.phase if login is not None else "",
        message=login.message if login is not None else "",
        asks=login.asks if login is not None and not over else "",
        error=run.error,
        error_code=run.error_code,
    )


def account_auth_row(account_id: str, fleet: Fleet) -> AuthRow | None:
    """The row of an account, also while a login of it is under way."""
    account = fleet.accounts.get(account_id)
    return None if account is None else _of_account(account, fleet)


def _of_account(account: AccountRow, fleet: Fleet) -> AuthRow:
    state = account.state_at(fleet.server_s or 0.0)
    names = [fleet.nodes[node].name if node in fleet.nodes else node for node in account.nodes]
    return AuthRow(
        key=f"account:{account.id}",
        account=account.name,
        agent=account.agent,
        node=", ".join(names),
        state=state,
        look=_LOOKS.get(state, UNKNOWN_LOOK),
        code="",
        url="",
        expires_s=account.expires_s,
        blocks=account.blocked,
        run_id="",
        stale=False,
        account_id=account.id,
        node_id=account.nodes[0] if account.nodes else "",
        last_401_s=account.last_401_s,
        used_s=account.used_s,
    )


def _of_node(node: NodeRow, blocked: Mapping[str, int], fleet: Fleet) -> Iterator[AuthRow]:
    """What a node says of its logins, but for what an account's own row says already."""
    for login in node.login_list:
        account = fleet.accounts.get(login.account)
        if account is not None and login.state in ("ok", account.state_at(fleet.server_s or 0.0)):
            continue
        name = account.name if account is not None else login.account
        blocks = account.blocked if account is not None else blocked.get(login.agent, 0)
        yield _node_row(
            node, login.agent, login.account, name, login.state, login.expires_s, blocks
        )
    told = {login.agent for login in node.login_list}
    for agent in node.agents_lacking_login:
        if agent not in told:
            yield _node_row(node, agent, "", "", "missing", None, blocked.get(agent, 0))


def _node_row(
    node: NodeRow,
    agent: str,
    account_id: str,
    name: str,
    state: str,
    expires_s: float | None,
    blocks: int,
) -> AuthRow:
    return AuthRow(
        key=f"node:{node.id}:{agent}:{account_id}",
        account=name,
        agent=agent,
        node=node.name,
        state=state,
        look=_LOOKS.get(state, UNKNOWN_LOOK),
        code="",
        url="",
        expires_s=expires_s,
        blocks=blocks if state in ("missing", "expired") else 0,
        run_id="",
        stale=not node.reachable,
        account_id=account_id,
        node_id=node.id,
    )
