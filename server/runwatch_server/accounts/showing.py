"""Accounts, operations and actions as the wire shows them; pure. As rows of the monitor: `rowing`.

A key is shown nowhere but in the open action its own node is given.
"""

from typing import Final

import msgspec

from runwatch_server.accounts.rows import AccountRow, ActionRow, RateLimitRow
from runwatch_shared.logins import Action, ActionAnswer, LoginConfig, Operation
from runwatch_shared.models import Account, RateLimit
from runwatch_shared.states import OPERATION_STATUS_OF_ACTION, PROGRESS_OF_ACTION
from runwatch_shared.timestamps import format_optional_time, format_time

HIDDEN: Final = "***"


def account_record(row: AccountRow) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        agent_type=row.agent_type,
        status=row.status,
        volume_name=row.volume_name,
        volume_archive_key=row.archive_key,
        expires_at=format_optional_time(row.expires_us),
        last_used_at=format_optional_time(row.last_used_us),
        last_401_at=format_optional_time(row.last_401_us),
        rate_limits=[_limit_record(limit) for limit in row.rate_limits] or None,
        nodes=row.nodes,
        blocked_runs=row.blocked_runs,
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
        revision=row.revision,
    )


def operation_record(row: ActionRow, *, with_actions: bool = False) -> Operation:
    return Operation(
        id=row.operation_id,
        type=row.type,
        config=LoginConfig(
            name=row.account_name,
            agent_type=row.agent_type,
            proxy_id=row.proxy_id,
            api_key=HIDDEN if row.had_key else None,
        ),
        status=OPERATION_STATUS_OF_ACTION[row.status],
        node_id=row.node_id,
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
        finished_at=format_optional_time(row.finished_us),
        actions=[action_record(row)] if with_actions else None,
        revision=row.revision,
    )


def action_record(
    row: ActionRow, *, with_operation: bool = False, key: str | None = None, text: str | None = None
) -> Action:
    """An action.

    Args:
        key: The key itself, for its node.
        text: What a person gave, for its node.
    """
    operation = operation_record(row) if with_operation else None
    if operation is not None and key is not None:
        config = msgspec.structs.replace(operation.config, api_key=key)
        operation = msgspec.structs.replace(operation, config=config)
    return Action(
        id=row.id,
        operation_id=row.operation_id,
        status=row.status,
        phase=row.phase,
        message=row.message,
        progress=progress_of(row),
        result=row.result or None,
        error=row.error,
        created_at=format_time(row.created_us),
        started_at=format_optional_time(row.started_us),
        finished_at=format_optional_time(row.finished_us),
        expires_at=format_time(row.expires_us),
        operation=operation,
        input=text,
        revision=row.revision,
    )


def answer_record(row: ActionRow) -> ActionAnswer:
    """What a node learns from telling something."""
    return ActionAnswer(
        id=row.id,
        status=row.status,
        phase=row.phase,
        message=row.message,
        cancelled=row.status == "cancelled",
    )


def progress_of(row: ActionRow) -> int:
    """0 to 100: as reported while it runs or waits, else by status (contract 6.2)."""
    if row.status in {"running", "waiting"} and row.progress is not None:
        return row.progress
    return PROGRESS_OF_ACTION[row.status]


def _limit_record(row: RateLimitRow) -> RateLimit:
    return RateLimit(
        kind=row.kind,
        status=row.status,
        utilization=row.utilization,
        resets_at=format_optional_time(row.resets_us),
        as_of=format_time(row.at_us),
    )
