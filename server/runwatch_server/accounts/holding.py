"""Which nodes hold the login of an account, and what becomes of the account.

Every change of an account goes through here, so that what the scheduler reads of a node
(``NodeRow.accounts`` and ``refused``) never differs from the account. Domain, over a transaction.
Source: contract 12 and 13.
"""

from typing import Final

import msgspec

from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.rows import NodeRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.logins import AccountStatus
from runwatch_shared.models import Login, NodeId
from runwatch_shared.timestamps import parse_time

SECOND_US: Final = 1_000_000
SETTLING_US: Final = 30 * SECOND_US
"""After a login nothing counts that its node says against it: it may have said it before."""
LOOK_AGAIN_US: Final = 60 * SECOND_US
_HELD: Final = frozenset({"ok", "expiring"})


def save(tx: WriteTx, before: AccountRow | None, after: AccountRow) -> AccountRow:
    """Save an account and tell its nodes what it means for them."""
    if after.status != "authenticating" and after.former is not None:
        after = msgspec.structs.replace(after, former=None)
    if after.status != "authenticated" and after.look_us is not None:
        after = msgspec.structs.replace(after, look_us=None)
    saved = tx.kept(AccountRow).save(msgspec.structs.replace(after, updated_us=tx.now_us))
    concerned = set(saved.logged_in)
    if before is not None:
        concerned |= before.logged_in.keys()
    for node_id in sorted(concerned):
        _tell(tx, node_id, saved)
    return saved


def _tell(tx: WriteTx, node_id: str, account: AccountRow) -> None:
    node = tx.nodes.get(node_id)
    if node is None:
        return
    holds = account.logged_in.get(node.id) is not None
    usable = holds and account.status == "authenticated"
    accounts = _with(node.accounts, account.id, usable)
    # A login that was refused stays so where it is; only a newer one of the node changes that.
    refused = _with(node.refused, account.id, not usable and (holds or account.id in node.refused))
    if (accounts, refused) != (node.accounts, node.refused):
        tx.nodes.save(msgspec.structs.replace(node, accounts=accounts, refused=refused))


def _with(ids: list[str], account_id: str, present: bool) -> list[str]:
    others = [each for each in ids if each != account_id]
    return sorted([*others, account_id]) if present else others


def begun(tx: WriteTx, action: ActionRow) -> None:
    """A login has begun: an account that cannot be used is about to be."""
    account = tx.kept(AccountRow).get(action.account_id)
    if account is not None and account.status in {"pending", "expired"}:
        save(
            tx,
            account,
            msgspec.structs.replace(account, status="authenticating", former=account.status),
        )


def failed(tx: WriteTx, action: ActionRow) -> None:
    """A login came to nothing: the account is what it was, unless another login is under way."""
    account = tx.kept(AccountRow).get(action.account_id)
    if account is None or account.status != "authenticating":
        return
    others = tx.kept(ActionRow).find(
        account_id=account.id, status=("assigned", "running", "waiting"), limit=2
    )
    if any(other.id != action.id for other in others):
        return
    former: AccountStatus = account.former or "pending"
    save(tx, account, msgspec.structs.replace(account, status=former))


def succeeded(
    tx: WriteTx, action: ActionRow, *, expires_us: int | None, volume_name: str | None
) -> AccountRow:
    """A node holds the login now: makes the account, or renews it."""
    before = tx.kept(AccountRow).get(action.account_id)
    account = before or AccountRow(
        id=action.account_id,
        name=action.account_name,
        agent_type=action.agent_type,
        created_us=tx.now_us,
        updated_us=tx.now_us,
    )
    # What was refused is refused on every node that has it.
    valid = account.status == "authenticated"
    logged_in = {**(account.logged_in if valid else {}), action.node_id: tx.now_us}
    after = msgspec.structs.replace(
        account,
        status="authenticated",
        logged_in=logged_in,
        expires_us=expires_us,
        look_us=expires_us,
        volume_name=volume_name or account.volume_name,
    )
    return save(tx, before, after)


def refuse(tx: WriteTx, account_id: str) -> None:
    """A vendor refused the login (401): it is expired, once, whatever number of runs say it."""
    account = tx.kept(AccountRow).get(account_id)
    if account is None:
        return
    after = msgspec.structs.replace(account, last_401_us=tx.now_us)
    if account.status == "authenticated":
        after = msgspec.structs.replace(after, status="expired")
    elif account.last_401_us is not None and tx.now_us - account.last_401_us < LOOK_AGAIN_US:
        return
    save(tx, account, after)


def expire(tx: WriteTx, account: AccountRow) -> None:
    """The moment has come that an account's login was said to last to.

    A node that is there and says it still has it knows better: agents renew their logins by
    themselves.
    """
    for node_id in account.logged_in:
        node = tx.nodes.get(node_id)
        if node is not None and node.status != "offline":
            login = claims_of(node).get(account.id)
            if login is not None and login.state in _HELD:
                later = msgspec.structs.replace(account, look_us=tx.now_us + LOOK_AGAIN_US)
                tx.kept(AccountRow).save(later)
                return
    save(tx, account, msgspec.structs.replace(account, status="expired"))


def used(tx: WriteTx, account_id: str) -> None:
    """A run with this account was claimed."""
    account = tx.kept(AccountRow).get(account_id)
    if account is None:
        return
    if account.last_used_us is None or tx.now_us - account.last_used_us >= LOOK_AGAIN_US:
        save(tx, account, msgspec.structs.replace(account, last_used_us=tx.now_us))


def claims_of(node: NodeRow) -> dict[str, Login]:
    """What a node last said of the accounts it has, by account."""
    claims = {
        account_id: Login(agent_type=offer.type, account_id=account_id, state="ok")
        for offer in node.agents
        for account_id in offer.accounts
    }
    claims |= {login.account_id: login for login in node.logins if login.account_id is not None}
    return claims


def take_in(tx: WriteTx, before: NodeRow | None, after: NodeRow) -> None:
    """What a heartbeat says of logins, for the accounts there are; what is known costs nothing."""
    if not after.logins and not any(offer.accounts for offer in after.agents):
        return
    earlier = {} if before is None else claims_of(before)
    for account_id, claim in claims_of(after).items():
        usable, refused = account_id in after.accounts, account_id in after.refused
        agrees = usable or refused if claim.state in _HELD else not usable
        if agrees and claim == earlier.get(account_id):
            continue
        account = tx.kept(AccountRow).get(account_id)
        if account is None:
            continue
        if claim.state not in _HELD:
            _let_go(tx, account, after.id, claim)
        elif not refused or _renewed(earlier.get(account_id), claim):
            _hold(tx, account, after.id, claim)


def take_in_all(tx: WriteTx, account: AccountRow) -> None:
    """An account is new here: the nodes that have said before that they hold it do."""
    for node in tx.nodes.all():
        claim = claims_of(node).get(account.id)
        if claim is not None and claim.state in _HELD:
            present = tx.kept(AccountRow).get(account.id)
            if present is not None:
                _hold(tx, present, node.id, claim)


def forget_node(tx: WriteTx, node: NodeRow) -> None:
    """A node is to be deleted, and what it holds is gone with it."""
    for account_id in {*node.accounts, *node.refused}:
        account = tx.kept(AccountRow).get(account_id)
        if account is not None:
            _drop(tx, account, node.id, "pending")


def forget_account(tx: WriteTx, account: AccountRow) -> None:
    """An account is to be deleted: it is used nowhere any more, although nodes still have its files
    and say so. It is again where somebody logs in anew, or makes an account of the same id.
    """
    for node in tx.nodes.all():
        has = account.id in node.accounts or account.id in node.refused
        if has or account.id in claims_of(node):
            tx.nodes.save(
                msgspec.structs.replace(
                    node,
                    accounts=_with(node.accounts, account.id, False),
                    refused=_with(node.refused, account.id, True),
                )
            )


def _hold(tx: WriteTx, account: AccountRow, node_id: NodeId, claim: Login) -> None:
    valid = account.status == "authenticated"
    held = account.logged_in if valid else {}
    expires_us = _expires_us(claim)
    after = msgspec.structs.replace(
        account,
        status="authenticated",
        logged_in={**held, node_id: held.get(node_id, tx.now_us)},
        expires_us=account.expires_us if valid and expires_us is None else expires_us,
        look_us=account.look_us if valid and expires_us is None else expires_us,
    )
    if after != account:
        save(tx, account, after)


def _let_go(tx: WriteTx, account: AccountRow, node_id: NodeId, claim: Login) -> None:
    since_us = account.logged_in.get(node_id)
    if since_us is not None and tx.now_us - since_us >= SETTLING_US:
        _drop(tx, account, node_id, "expired" if claim.state == "expired" else "pending")


def _drop(tx: WriteTx, account: AccountRow, node_id: NodeId, last: AccountStatus) -> None:
    """Take a node from an account; without any the account is ``last``."""
    rest = {node: at_us for node, at_us in account.logged_in.items() if node != node_id}
    if rest == account.logged_in:
        return
    status = account.status
    if status == "authenticated" and not rest:
        status = last
    save(tx, account, msgspec.structs.replace(account, status=status, logged_in=rest))


def _renewed(earlier: Login | None, claim: Login) -> bool:
    """Whether a node has a newer login than the one that was refused."""
    if earlier is None or earlier.state not in _HELD:
        return True
    before_us, after_us = _expires_us(earlier), _expires_us(claim)
    return after_us is not None and (before_us is None or after_us > before_us)


def _expires_us(claim: Login) -> int | None:
    return None if claim.expires_at is None else parse_time(claim.expires_at)
