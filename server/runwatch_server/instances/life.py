"""An instance's life: made, started, stopped and deleted by people, carried out by its node.

Domain, over a transaction. Source: contract 14; which status may follow which is in
`runwatch_shared.states`.
"""

from typing import Any, Final

import msgspec

from runwatch_server import checks, runs
from runwatch_server.accounts.rows import AccountRow
from runwatch_server.ids import new_id
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.principals import Principal
from runwatch_server.rows import RunRow
from runwatch_server.storage.kept import KeptReads
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.instances import (
    ERROR_CHARS,
    NAME_CHARS,
    InstancePatch,
    InstanceRequest,
    InstanceStatus,
)
from runwatch_shared.models import NodeId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import INSTANCE_STATUSES, INSTANCE_TRANSITIONS, SAID_BY_NODE
from runwatch_shared.text import clean

MOST_OF_ONE: Final = 10_000
"""Instances of one node or account; more than any has."""
NO_REASON: Final = "its node does not say why"


def create(tx: WriteTx, request: InstanceRequest) -> InstanceRow:
    """An instance that its node is to make.

    Raises:
        RefusedError: 400 naming the field.
    """
    account = tx.kept(AccountRow).get(request.account_id)
    if account is None:
        raise _no_such("account_id", "account")
    if tx.nodes.get(request.node_id) is None:
        raise _no_such("node_id", "node")
    name = account.name if request.name is None else request.name
    checks.check_text(name, "name", NAME_CHARS)
    if not name.strip():
        raise RefusedError("invalid_field", "name must not be empty", field="name")
    if request.template_id is not None:
        checks.check_text(request.template_id, "template_id", NAME_CHARS)
    return tx.kept(InstanceRow).save(
        InstanceRow(
            id=new_id("agent"),
            name=name,
            account_id=account.id,
            agent_type=account.agent_type,
            template_id=request.template_id,
            node_id=NodeId(request.node_id),
            created_us=tx.now_us,
            updated_us=tx.now_us,
        )
    )


def start(tx: WriteTx, instance_id: str) -> InstanceRow:
    """Have a stopped or failed one run again.

    Raises:
        RefusedError: 404, 409 ``invalid_transition``.
    """
    row = stored(tx.kept(InstanceRow), instance_id)
    return _move(tx, row, "pending")


def stop(
    tx: WriteTx, instance_id: str, *, force: bool, by_name: str, settings: ServerSettings
) -> InstanceRow:
    """Have a running one end; it keeps its files.

    Raises:
        RefusedError: 404, 409 ``invalid_transition``, 409 ``in_use`` while runs are in it.
    """
    row = stored(tx.kept(InstanceRow), instance_id)
    _check_follows(row, "stopping")
    _empty(tx, row, force=force, by_name=by_name, settings=settings)
    return _move(tx, row, "stopping")


def delete(
    tx: WriteTx, instance_id: str, *, force: bool, by_name: str, settings: ServerSettings
) -> InstanceRow:
    """Forget it for everybody but its node, which removes the container.

    Raises:
        RefusedError: 404, 409 ``in_use`` while runs are in it.
    """
    row = stored(tx.kept(InstanceRow), instance_id)
    _empty(tx, row, force=force, by_name=by_name, settings=settings)
    gone = msgspec.structs.replace(row, deleted_us=tx.now_us, updated_us=tx.now_us)
    return tx.kept(InstanceRow).save(gone)


def report(
    tx: WriteTx, instance_id: str, patch: InstancePatch, *, by: Principal
) -> tuple[InstanceRow, InstanceRow | None]:
    """What its node says of it; the same again changes nothing.

    Returns:
        The row before and after; nothing after: a deleted one's container is removed.

    Raises:
        RefusedError: 404, 403 ``not_your_node``, 409 ``invalid_transition``.
    """
    rows = tx.kept(InstanceRow)
    row = rows.get(instance_id)
    if row is not None:
        by.check_node(row.node_id)
    if row is None or (row.deleted_us is not None and not patch.removed):
        raise not_found("instance")
    if row.deleted_us is not None:
        rows.delete(row.id)
        return row, None
    if patch.was not in (None, row.status):
        _refuse(row.status, patch.status, frozenset())
    if patch.status != row.status and patch.status not in SAID_BY_NODE:
        _refuse(row.status, patch.status, SAID_BY_NODE & INSTANCE_TRANSITIONS[row.status])
    if patch.status != row.status:
        _check_follows(row, patch.status)
    after = msgspec.structs.replace(
        row,
        status=patch.status,
        container_name=_name(patch.container_name) or row.container_name,
        error=_error(patch, row),
    )
    if after == row:
        return row, row
    return row, rows.save(msgspec.structs.replace(after, updated_us=tx.now_us))


def stored(rows: KeptReads[InstanceRow], instance_id: str) -> InstanceRow:
    """The instance, or the 404."""
    row = rows.get(instance_id)
    if row is None or row.deleted_us is not None:
        raise not_found("instance")
    return row


def refuse_in_use(
    rows: KeptReads[InstanceRow], *, node_id: str | None = None, account_id: str | None = None
) -> None:
    """
    Raises:
        RefusedError: 409 ``in_use`` with ``details.instance_ids``: this node or account has some.
    """
    found = rows.find(
        node_id=node_id, account_id=account_id, status=INSTANCE_STATUSES, limit=MOST_OF_ONE
    )
    if found:
        owner = "node" if node_id is not None else "account"
        details = {"instance_ids": [row.id for row in found]}
        raise RefusedError("in_use", f"the {owner} has instances", details=details)


def forget_deleted(tx: WriteTx, node_id: str) -> None:
    """A node that is no more will not say that it removed anything."""
    for row in tx.kept(InstanceRow).find(node_id=node_id, limit=MOST_OF_ONE):
        if row.deleted_us is not None:
            tx.kept(InstanceRow).delete(row.id)


def _move(tx: WriteTx, row: InstanceRow, status: InstanceStatus) -> InstanceRow:
    _check_follows(row, status)
    moved = msgspec.structs.replace(row, status=status, error=None, updated_us=tx.now_us)
    return tx.kept(InstanceRow).save(moved)


def _check_follows(row: InstanceRow, status: InstanceStatus) -> None:
    if status not in INSTANCE_TRANSITIONS[row.status]:
        _refuse(row.status, status, INSTANCE_TRANSITIONS[row.status])


def _refuse(before: str, after: str, allowed: frozenset[InstanceStatus]) -> None:
    details: dict[str, Any] = {"from": before, "to": after, "allowed": sorted(allowed)}
    raise RefusedError(
        "invalid_transition", f"an instance that is {before} cannot be {after}", details=details
    )


def _empty(
    tx: WriteTx, row: InstanceRow, *, force: bool, by_name: str, settings: ServerSettings
) -> None:
    """See to it that no run is in it, or is told to end."""
    inside = [run for run in tx.runs.active_on(row.node_id) if _is_in(run, row.id)]
    if inside and not force:
        details = {"run_ids": [run.id for run in inside]}
        raise RefusedError("in_use", "runs are in the instance", details=details)
    for run in inside:
        if run.cancel is None:
            note = f"its instance {row.id} ends"
            runs.cancel_run(
                tx, run.id, reason="user", by_name=by_name, note=note, settings=settings
            )


def _is_in(run: RunRow, instance_id: str) -> bool:
    return run.agent_instance_id == instance_id


def _error(patch: InstancePatch, row: InstanceRow) -> str | None:
    """Why it is as it is: kept until it is started again or runs."""
    if patch.error is not None:
        return clean(patch.error, limit=ERROR_CHARS, fold=True, marks=False) or None
    if patch.status == "error":
        return row.error or NO_REASON
    return None if patch.status != row.status else row.error


def _name(name: str | None) -> str | None:
    return None if name is None else clean(name, limit=128, fold=True, marks=False)


def _no_such(field: str, kind: str) -> RefusedError:
    return RefusedError("invalid_field", f"{field} names no {kind}", field=field)
