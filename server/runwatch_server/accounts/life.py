"""The life of a login: begun by a person, told by its node, ended by either or by its time.

Domain, over a transaction. What follows for the account is in `holding`. Source: contract 13.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from runwatch_server.accounts import holding, phases, results
from runwatch_server.accounts.kinds import AgentTypes, require_method
from runwatch_server.accounts.rows import AccountRow, ActionRow, action_id_of
from runwatch_server.ids import is_id
from runwatch_server.principals import Principal
from runwatch_server.proxies import configs
from runwatch_server.rows import NodeRow, SourceRow
from runwatch_server.storage.kept import KeptReads
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.logins import (
    ActionPatch,
    ActionStatus,
    LoginConfig,
    OperationRequest,
    account_id,
)
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import ACTION_TRANSITIONS, FINAL_ACTION_STATUSES, action_may_follow
from runwatch_shared.text import clean, has_control

SECOND_US: Final = 1_000_000
NAME: Final = re.compile(r"[A-Za-z0-9@._ -]{1,64}")
KEY_CHARS: Final = 8192
INPUT_CHARS: Final = 4096
MESSAGE_CHARS: Final = 500
ERROR_CHARS: Final = 2000
OPEN: Final[tuple[ActionStatus, ...]] = ("assigned", "running", "waiting")
MOST_OPEN: Final = 200
"""Of one node, looked at."""


def check_config(request: OperationRequest, kinds: AgentTypes) -> None:
    """Refuse a login that nobody can do, before anything is stored.

    Raises:
        RefusedError: 400 naming the field.
    """
    config = request.config
    kind = kinds.require(config.agent_type, "config.agent_type")
    check_name(config.name, "config.name")
    require_method(kind, request.type)
    _check_key(request.type, config)
    if config.proxy_id is not None and not is_id(config.proxy_id):
        raise RefusedError("invalid_field", "config.proxy_id is no id", field="config.proxy_id")
    if not is_id(request.node_id):
        raise _no_node()


def check_name(name: str, field: str) -> None:
    """Refuse what can be no account's name.

    Raises:
        RefusedError: 400.
    """
    if NAME.fullmatch(name) is None:
        raise RefusedError(
            "invalid_field",
            f"{field} must be 1 to 64 letters, digits and @ . _ - or space",
            field=field,
        )


def start(
    tx: WriteTx,
    request: OperationRequest,
    *,
    action_id: str,
    sealed_key: str | None,
    by_name: str,
    settings: ServerSettings,
) -> ActionRow:
    """Give a login to a node. One of the same account that is open on the node is ended: a person
    who begins again does not come back to it.

    Args:
        request: Passed `check_config`.
        sealed_key: The key as it may be stored.

    Raises:
        RefusedError: 400 for an unknown node, 409 ``name_taken``.
    """
    config = request.config
    node = tx.nodes.get(request.node_id)
    if node is None:
        raise _no_node()
    configs.check_named(tx, config.proxy_id, "config.proxy_id")
    of_account = account_id(config.agent_type, config.name)
    for other in tx.kept(ActionRow).find(account_id=of_account, status=OPEN, limit=MOST_OPEN):
        _require_same_name(other.account_name, config.name)
        if other.node_id == node.id:
            end(
                tx, other, "cancelled", by="server", name="server",
                message="replaced by a newer login",
            )  # fmt: skip
    account = tx.kept(AccountRow).get(of_account)
    if account is not None:
        _require_same_name(account.name, config.name)
    row = ActionRow(
        id=action_id,
        type=request.type,
        account_id=of_account,
        account_name=config.name,
        agent_type=config.agent_type,
        node_id=node.id,
        proxy_id=config.proxy_id,
        api_key=sealed_key,
        had_key=sealed_key is not None,
        by=by_name,
        expires_us=tx.now_us + settings.login_timeout_s * SECOND_US,
        source=SourceRow(kind="user", at_us=tx.now_us, note=by_name),
        created_us=tx.now_us,
        updated_us=tx.now_us,
    )
    saved = tx.kept(ActionRow).save(phases.told(row, at_us=tx.now_us, by="user"))
    holding.begun(tx, saved)
    return saved


def patch(tx: WriteTx, action_id: str, told: ActionPatch, *, by: Principal) -> ActionRow:
    """What its node says of an action. Of one that a person cancelled, and of an end that was told
    before, nothing changes: the node learns it from the answer.

    Raises:
        RefusedError: 400 naming the field, 403 ``not_your_node``, 404, 409 ``already_terminal`` or
            ``invalid_transition``.
    """
    row = stored(tx, action_id)
    require_own(row, by)
    if not row.is_open:
        if row.status in {"cancelled", told.status}:
            return row
        raise _over(row)
    if not action_may_follow(row.status, told.status):
        raise RefusedError(
            "invalid_transition",
            f"an action that is {row.status} cannot become {told.status}",
            field="status",
            details={
                "from": row.status,
                "to": told.status,
                "allowed": sorted(ACTION_TRANSITIONS[row.status]),
            },
        )
    after = _with_told(row, told)
    if told.status in FINAL_ACTION_STATUSES:
        account_expires_us = results.moment_of(after.result, "account_expires_at")
        return end(
            tx, row, told.status, by="node", name=row.node_id, changed=after,
            account_expires_us=account_expires_us,
        )  # fmt: skip
    after = _moved(tx, row, msgspec.structs.replace(after, status=told.status))
    if after == row:
        return row
    if _shown(after) != _shown(row):
        source = SourceRow(kind="node", at_us=tx.now_us, note=row.node_id)
        after = phases.told(
            msgspec.structs.replace(after, source=source), at_us=tx.now_us, by="node"
        )
    return tx.kept(ActionRow).save(after)


def cancel(tx: WriteTx, action_id: str, *, by_name: str) -> ActionRow:
    """End a login because a person said so.

    Raises:
        RefusedError: 404, 409 ``already_terminal``.
    """
    row = stored(tx, action_id)
    if not row.is_open:
        raise _over(row)
    return end(tx, row, "cancelled", by="user", name=by_name, message=f"cancelled by {by_name}")


def give_input(tx: WriteTx, action_id: str, sealed: str) -> ActionRow:
    """Keep what a person gave until the node takes it; a newer one takes the place of one it has
    not taken.

    Raises:
        RefusedError: 404, 409 ``invalid_transition`` where nobody asked for anything.
    """
    row = stored(tx, action_id)
    if row.status != "waiting" or not row.result.get("input_prompt"):
        raise RefusedError(
            "invalid_transition", "the login does not wait for input",
            details={"status": row.status},
        )  # fmt: skip
    return tx.kept(ActionRow).save(msgspec.structs.replace(row, input=sealed))


def check_input(text: str) -> None:
    """Refuse what nobody types into a login.

    Raises:
        RefusedError: 400.
    """
    if not text or len(text) > INPUT_CHARS or has_control(text):
        raise RefusedError(
            "invalid_field", f"text must be 1 to {INPUT_CHARS} characters of one line",
            field="text", details={"max": INPUT_CHARS},
        )  # fmt: skip


def take_inputs(tx: WriteTx, action_ids: Iterable[str]) -> dict[str, str]:
    """The inputs of these actions that no node was given, sealed; they are erased: given once."""
    taken: dict[str, str] = {}
    for action_id in action_ids:
        row = tx.kept(ActionRow).get(action_id)
        if row is not None and row.input is not None:
            taken[row.id] = row.input
            tx.kept(ActionRow).save(msgspec.structs.replace(row, input=None))
    return taken


def open_on(actions: KeptReads[ActionRow], node_id: str) -> list[ActionRow]:
    """The open actions of a node, oldest first."""
    return actions.find(node_id=node_id, status=OPEN, limit=MOST_OPEN)


def expire(tx: WriteTx, row: ActionRow) -> ActionRow:
    """The time of a login is over."""
    return end(
        tx, row, "timeout", by="server", name="server", error="nobody finished the login in time"
    )


def end(
    tx: WriteTx,
    row: ActionRow,
    status: ActionStatus,
    *,
    by: Literal["node", "user", "server"],
    name: str,
    message: str | None = None,
    error: str | None = None,
    changed: ActionRow | None = None,
    account_expires_us: int | None = None,
) -> ActionRow:
    """End an open action: what was secret in it is erased, the account follows.

    Args:
        row: As stored now.
        name: Who did it.
        changed: ``row`` with what else changes.
    """
    after = row if changed is None else changed
    after = msgspec.structs.replace(
        after,
        status=status,
        message=after.message if message is None else message,
        error=after.error if error is None else error,
        progress=None,
        api_key=None,
        input=None,
        waiting_us=None,
        started_us=after.started_us or (tx.now_us if status == "success" else None),
        finished_us=tx.now_us,
        updated_us=tx.now_us,
        source=SourceRow(kind=by, at_us=tx.now_us, note=name),
    )
    volume_name = after.result.get("volume_name")
    after = msgspec.structs.replace(after, result=results.at_the_end(after.result))
    saved = tx.kept(ActionRow).save(phases.told(after, at_us=tx.now_us, by=by))
    if status == "success":
        holding.succeeded(tx, saved, expires_us=account_expires_us, volume_name=volume_name)
    else:
        holding.failed(tx, saved)
    return saved


def stored(tx: ReadTx | WriteTx, some_id: str) -> ActionRow:
    """The action of an id, or of its operation's id.

    Raises:
        RefusedError: 404.
    """
    row = tx.kept(ActionRow).get(action_id_of(some_id))
    if row is None:
        raise not_found("operation" if some_id.startswith("op-") else "action")
    return row


def require_own(row: ActionRow, by: Principal) -> None:
    """Refuse a node another node's action.

    Raises:
        RefusedError: 403 ``not_your_node``.
    """
    if by.node_id is not None and by.node_id != row.node_id:
        raise RefusedError("not_your_node", "this action is another node's")


def forget_node(tx: WriteTx, node: NodeRow) -> None:
    """A node is to be deleted: nobody goes on with its logins."""
    for row in open_on(tx.kept(ActionRow), node.id):
        end(tx, row, "failed", by="server", name="server", error="the node was deleted")
    holding.forget_node(tx, node)


def _with_told(row: ActionRow, told: ActionPatch) -> ActionRow:
    changes: dict[str, object] = {}
    if told.phase is not msgspec.UNSET:
        changes["phase"] = told.phase
    if told.message is not msgspec.UNSET:
        changes["message"] = _cleaned(told.message, MESSAGE_CHARS)
    if told.error is not msgspec.UNSET:
        changes["error"] = _cleaned(told.error, ERROR_CHARS)
    if told.progress is not msgspec.UNSET:
        if not 0 <= told.progress <= 100:
            raise RefusedError(
                "invalid_field", "progress must be 0 to 100", field="progress",
                details={"min": 0, "max": 100},
            )  # fmt: skip
        changes["progress"] = told.progress
    if told.result is not msgspec.UNSET:
        changes["result"] = results.merged(row.result, told.result)
    return msgspec.structs.replace(row, **changes)


def _moved(tx: WriteTx, before: ActionRow, after: ActionRow) -> ActionRow:
    """The moments that follow from a change of status."""
    if before.status == after.status:
        if before.wait == after.wait and before.phase == after.phase:
            return after
        return msgspec.structs.replace(after, updated_us=tx.now_us)
    return msgspec.structs.replace(
        after,
        started_us=before.started_us or tx.now_us,
        waiting_us=tx.now_us if after.status == "waiting" else None,
        updated_us=tx.now_us,
    )


def _shown(row: ActionRow) -> tuple[object, ...]:
    """What a change of makes an event."""
    return row.status, row.phase, row.message, row.result


def _cleaned(text: str | None, limit: int) -> str | None:
    return clean(text, limit=limit, fold=True, marks=False) if text else None


def _check_key(method: str, config: LoginConfig) -> None:
    key = config.api_key
    if method != "api_key":
        if key is not None:
            raise RefusedError(
                "invalid_field", "config.api_key is for logins by api_key", field="config.api_key"
            )
        return
    if key is None:
        raise RefusedError("missing_field", "config.api_key is required", field="config.api_key")
    if not key.strip() or len(key) > KEY_CHARS or has_control(key):
        raise RefusedError(
            "invalid_field", f"config.api_key must be 1 to {KEY_CHARS} characters of one line",
            field="config.api_key", details={"max": KEY_CHARS},
        )  # fmt: skip


def _require_same_name(stored_name: str, name: str) -> None:
    if stored_name != name:
        raise RefusedError(
            "name_taken", "an account of another name has the same id", field="config.name"
        )


def _no_node() -> RefusedError:
    return RefusedError("invalid_field", "node_id is no known node", field="node_id")


def _over(row: ActionRow) -> RefusedError:
    return RefusedError("already_terminal", "the login is over", details={"status": row.status})
