"""The rows and columns of the Auth table: logins under way, and what nodes say of theirs; pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_console.columns import CellText, Column, short_agent
from runwatch_console.fleet import Fleet
from runwatch_console.formats import UNKNOWN
from runwatch_console.lens import Lens
from runwatch_console.looks import DONE, FAIL, SLOW, WAIT, Look, look_of_run
from runwatch_console.looks import UNKNOWN as UNKNOWN_LOOK
from runwatch_console.rows import NodeRow, RunRow

BLOCKED: Final = "login_missing"
"""The code of a queue that waits for a login (contract 12)."""


class AuthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One login: under way (`run_id` names its workflow), or as a node has it."""

    key: str
    account: str
    agent: str
    node: str
    state: str
    """ok expiring expired missing of a node's; else `login`."""
    look: Look
    code: str
    url: str
    expires_s: float | None
    blocks: int
    run_id: str
    stale: bool
    """The node that said so is silent: it may be different by now."""


_LOOKS: Final[Mapping[str, Look]] = {
    "ok": DONE,
    "expiring": SLOW,
    "expired": FAIL,
    "missing": WAIT,
}
_RANK: Final[Mapping[str, int]] = {"login": 0, "missing": 1, "expired": 2, "expiring": 3, "ok": 4}


def runs_blocked_by(row: AuthRow) -> str:
    """The filter of the runs that wait for this login."""
    return f"s:queue agent:{row.agent} why:{BLOCKED}"


def auth_rows(fleet: Fleet) -> list[AuthRow]:
    """Logins under way first, then those that are missing or bad, then the good ones."""
    blocked = Counter(
        run.agent
        for run in fleet.runs.values()
        if run.status == "queued" and run.queue_code == BLOCKED
    )
    rows = [
        _under_way(run, blocked[run.agent])
        for run in fleet.runs.values()
        if run.type == "auth" and not run.ended
    ]
    for node in fleet.nodes.values():
        rows += _of_node(node, blocked)
    return sorted(rows, key=lambda row: (_RANK.get(row.state, 5), row.agent, row.account, row.node))


def _under_way(run: RunRow, blocks: int) -> AuthRow:
    login = run.login
    return AuthRow(
        key=f"run:{run.id}",
        account=(login.account if login is not None else "") or run.name,
        agent=run.agent,
        node=run.node,
        state="login",
        look=look_of_run(run),
        code=login.code if login is not None else "",
        url=login.url if login is not None else "",
        expires_s=login.expires_s if login is not None else None,
        blocks=blocks,
        run_id=run.id,
        stale=False,
    )


def _of_node(node: NodeRow, blocked: Mapping[str, int]) -> list[AuthRow]:
    rows = [
        _row(node, login.agent, login.account, login.state, login.expires_s, blocked)
        for login in node.login_list
    ]
    told = {login.agent for login in node.login_list}
    lacking = [agent for agent in node.agents_lacking_login if agent not in told]
    return rows + [_row(node, agent, "", "missing", None, blocked) for agent in lacking]


def _row(
    node: NodeRow,
    agent: str,
    account: str,
    state: str,
    expires_s: float | None,
    blocked: Mapping[str, int],
) -> AuthRow:
    return AuthRow(
        key=f"node:{node.id}:{agent}:{account}",
        account=account,
        agent=agent,
        node=node.name,
        state=state,
        look=_LOOKS.get(state, UNKNOWN_LOOK),
        code="",
        url="",
        expires_s=expires_s,
        blocks=blocked.get(agent, 0) if state in ("missing", "expired") else 0,
        run_id="",
        stale=not node.reachable,
    )


def _known(text: str) -> CellText:
    return (text, "") if text else (UNKNOWN, "muted")


def _state(row: AuthRow, lens: Lens) -> CellText:
    if row.stale:
        return f"? {lens.words(f'login.{row.state}')}", "unknown"
    if row.state == "login":
        return lens.look(row.look), row.look.tone
    glyph = row.look.ascii if lens.ascii else row.look.glyph
    return f"{glyph} {lens.words(f'login.{row.state}')}", row.look.tone


AUTH_COLUMNS: Final[tuple[Column[AuthRow], ...]] = (
    Column(title="col.account", width=14, flex=2, cell=lambda row, _: _known(row.account)),
    Column(title="col.agent", width=8, cell=lambda row, _: (short_agent(row.agent), "")),
    Column(title="col.node", width=8, flex=1, priority=1, cell=lambda row, _: _known(row.node)),
    Column(title="col.state", width=11, cell=_state),
    Column(title="col.code", width=10, priority=2, cell=lambda row, _: _known(row.code)),
    Column(title="col.url", width=14, flex=4, priority=4, cell=lambda row, _: _known(row.url)),
    Column(
        title="col.expires",
        width=8,
        align="right",
        priority=3,
        cell=lambda row, lens: _known("" if row.expires_s is None else lens.until(row.expires_s)),
    ),
    Column(
        title="col.blocks",
        width=6,
        align="right",
        cell=lambda row, _: (str(row.blocks), "waiting") if row.blocks else (UNKNOWN, "muted"),
    ),
)
