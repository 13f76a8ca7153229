"""Accounts as people make, read and delete them; domain, over a transaction (contract 13)."""

from typing import Final

from runwatch_server.accounts import archives, holding, life
from runwatch_server.accounts.kinds import AgentTypes
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.instances import life as instances
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.logins import AccountRequest, account_id

MOST_LISTED: Final = 10_000


def make(tx: WriteTx, request: AccountRequest, kinds: AgentTypes) -> AccountRow:
    """Make an account without a login; one that a node has already is taken in.

    Raises:
        RefusedError: 400 naming the field, 409 ``name_taken``.
    """
    kinds.require(request.agent_type, "agent_type")
    life.check_name(request.name, "name")
    row_id = account_id(request.agent_type, request.name)
    if tx.kept(AccountRow).get(row_id) is not None:
        raise RefusedError("name_taken", "there is such an account", field="name")
    row = AccountRow(
        id=row_id,
        name=request.name,
        agent_type=request.agent_type,
        archive_key=archives.kept_of(tx, row_id),
        created_us=tx.now_us,
        updated_us=tx.now_us,
    )
    holding.save(tx, None, row)
    holding.take_in_all(tx, row)
    return stored(tx, row_id)


def listed(tx: ReadTx, agent_types: tuple[str, ...] | None) -> list[AccountRow]:
    """By id."""
    rows = tx.kept(AccountRow).find(limit=MOST_LISTED)
    chosen = (row for row in rows if agent_types is None or row.agent_type in agent_types)
    return sorted(chosen, key=lambda row: row.id)


def stored(tx: ReadTx | WriteTx, row_id: str) -> AccountRow:
    """The account, or the 404."""
    row = tx.kept(AccountRow).get(row_id)
    if row is None:
        raise not_found("account")
    return row


def delete(tx: WriteTx, row_id: str, *, purge: bool) -> None:
    """Forget an account; what its nodes hold stays there.

    Args:
        purge: Whether the stored copy of its login files goes too; else an account of the same id
            gets it back.

    Raises:
        RefusedError: 404, 409 ``in_use`` while a login for it is open, or an instance has it.
    """
    row = stored(tx, row_id)
    logins = tx.kept(ActionRow).find(account_id=row_id, status=life.OPEN, limit=life.MOST_OPEN)
    if logins:
        raise RefusedError(
            "in_use", "a login for the account is open",
            details={"action_ids": [login.id for login in logins]},
        )  # fmt: skip
    instances.refuse_in_use(tx.kept(InstanceRow), account_id=row_id)
    holding.forget_account(tx, row)
    tx.kept(AccountRow).delete(row_id)
    if purge:
        archives.discard(tx, row_id)
