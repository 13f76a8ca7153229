"""The lifecycles as tables: which status may follow which, and what each means to the monitor; no
storage, no I/O.

Source: contract sections 5.2, 5.4, 6.2, 8.2, 13 and 14.
"""

from typing import Final, get_args

from runwatch_shared.instances import InstanceStatus
from runwatch_shared.logins import (
    AccountStatus,
    ActionStatus,
    OperationStatus,
    OperationType,
    Phase,
)
from runwatch_shared.models import (
    Health,
    NodeStatus,
    RunStatus,
    TaskStatus,
    TerminalStatus,
    WorkflowState,
)

RUN_STATUSES: Final[tuple[RunStatus, ...]] = get_args(RunStatus)
TASK_STATUSES: Final[tuple[TaskStatus, ...]] = get_args(TaskStatus)
NODE_STATUSES: Final[tuple[NodeStatus, ...]] = get_args(NodeStatus)
WORKFLOW_STATES: Final[tuple[WorkflowState, ...]] = get_args(WorkflowState)
HEALTH_FLAGS: Final[tuple[Health, ...]] = get_args(Health)
TERMINAL_STATUSES: Final[frozenset[str]] = frozenset(get_args(TerminalStatus))
OPERATION_TYPES: Final[tuple[OperationType, ...]] = get_args(OperationType)
OPERATION_STATUSES: Final[tuple[OperationStatus, ...]] = get_args(OperationStatus)
ACTION_STATUSES: Final[tuple[ActionStatus, ...]] = get_args(ActionStatus)
ACCOUNT_STATUSES: Final[tuple[AccountStatus, ...]] = get_args(AccountStatus)
INSTANCE_STATUSES: Final[tuple[InstanceStatus, ...]] = get_args(InstanceStatus)
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
FINAL_ACTION_STATUSES: Final[frozenset[str]] = frozenset(
    {"success", "failed", "timeout", "cancelled"}
)
ACTIVE_STATES: Final[frozenset[str]] = frozenset({"pending", "running", "waiting", "unknown"})

RUN_TRANSITIONS: Final[dict[RunStatus, frozenset[RunStatus]]] = {
    "queued": frozenset({"assigned", "running", "cancelled"}),
    "assigned": frozenset({"queued", "running", "done", "failed", "cancelled", "timeout"}),
    "running": frozenset({"queued", "done", "failed", "cancelled", "timeout"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "timeout": frozenset(),
}
"""Contract 8.2. ``queued → running`` is an external reporter's first event."""

TASK_STATUS_OF_RUN: Final[dict[RunStatus, TaskStatus]] = {
    "queued": "in_progress",
    "assigned": "in_progress",
    "running": "in_progress",
    "done": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "timeout": "failed",
}
"""A task has the status of its newest run; without a run it is ``pending`` (contract 5.2)."""

STATE_OF_RUN: Final[dict[RunStatus, WorkflowState]] = {
    "queued": "pending",
    "assigned": "pending",
    "running": "running",
    "done": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "timeout": "failed",
}
"""Contract 6.2, before an open wait (``waiting``) or a silent node (``unknown``) is looked at."""

PROGRESS_OF_RUN: Final[dict[RunStatus, int]] = {
    "queued": 10,
    "assigned": 25,
    "running": 50,
    "done": 100,
    "failed": 100,
    "cancelled": 100,
    "timeout": 100,
}

ATTENTION_OF_STATE: Final[dict[WorkflowState, int]] = {
    "waiting": 4,
    "unknown": 3,
    "running": 2,
    "pending": 1,
    "completed": 0,
    "failed": 0,
}
"""Contract 5.6; any health but ``ok`` raises an active row to at least 3."""

ACTION_TRANSITIONS: Final[dict[ActionStatus, frozenset[ActionStatus]]] = {
    "assigned": frozenset({"running", "waiting", "success", "failed", "timeout", "cancelled"}),
    "running": frozenset({"waiting", "success", "failed", "timeout", "cancelled"}),
    "waiting": frozenset({"running", "success", "failed", "timeout", "cancelled"}),
    "success": frozenset(),
    "failed": frozenset(),
    "timeout": frozenset(),
    "cancelled": frozenset(),
}
"""Contract 13. A login goes on to run after a person has done their part, so ``waiting`` and
``running`` may follow each other; nothing comes back to ``assigned`` or out of a final status.
"""

OPERATION_STATUS_OF_ACTION: Final[dict[ActionStatus, OperationStatus]] = {
    "assigned": "pending",
    "running": "in_progress",
    "waiting": "in_progress",
    "success": "completed",
    "failed": "failed",
    "timeout": "failed",
    "cancelled": "cancelled",
}

STATE_OF_ACTION: Final[dict[ActionStatus, WorkflowState]] = {
    "assigned": "pending",
    "running": "running",
    "waiting": "waiting",
    "success": "completed",
    "failed": "failed",
    "timeout": "failed",
    "cancelled": "failed",
}
"""Contract 6.2."""

PROGRESS_OF_ACTION: Final[dict[ActionStatus, int]] = {
    "assigned": 25,
    "running": 50,
    "waiting": 75,
    "success": 100,
    "failed": 100,
    "timeout": 100,
    "cancelled": 100,
}
"""Contract 6.2; of ``running`` and ``waiting`` where nothing was reported."""

INSTANCE_TRANSITIONS: Final[dict[InstanceStatus, frozenset[InstanceStatus]]] = {
    "pending": frozenset({"creating", "error"}),
    "creating": frozenset({"running", "error"}),
    "running": frozenset({"stopping", "error"}),
    "stopping": frozenset({"stopped", "error"}),
    "stopped": frozenset({"pending", "error"}),
    "error": frozenset({"pending"}),
}
"""Contract 14; one that failed may be started again, as one that was stopped."""
SAID_BY_NODE: Final[frozenset[InstanceStatus]] = frozenset(
    {"creating", "running", "stopped", "error"}
)
"""The others are what people ask for."""

EVENT_TYPES: Final[tuple[str, ...]] = (
    "run_started",
    "run_completed",
    "run_failed",
    "message",
    "thinking",
    "progress",
    "tool_use_start",
    "tool_result",
    "command",
    "command_output",
    "file_read",
    "file_write",
    "file_delete",
    "approval_request",
    "approval_response",
    "checkpoint",
    "heartbeat",
    "system_info",
    "result",
    "error",
    "warning",
)
"""Contract 9.3; beside them ``x_[a-z0-9_]{1,62}`` is stored without effect."""

AGENT_TYPE_ALIASES: Final[dict[str, str]] = {
    "claude": "claude-code",
    "codex": "openai-codex",
    "gemini": "gemini-cli",
    "qwen": "qwen-code",
    "qwencode": "qwen-code",
    "shell": "command",
}
AGENT_TYPES: Final[tuple[str, ...]] = (
    "claude-code",
    "openai-codex",
    "gemini-cli",
    "qwen-code",
    "command",
    "general",
)


def may_follow(before: RunStatus, after: RunStatus) -> bool:
    """Whether a run in status ``before`` may come to ``after``."""
    return after in RUN_TRANSITIONS[before]


def action_may_follow(before: ActionStatus, after: ActionStatus) -> bool:
    """Whether an action in status ``before`` may come to ``after``; it may stay as it is."""
    return after in ACTION_TRANSITIONS[before] or (
        before == after and before not in FINAL_ACTION_STATUSES
    )


def is_terminal(status: str) -> bool:
    """Whether a run's status is one of the four that never change."""
    return status in TERMINAL_STATUSES


def attention(state: WorkflowState, health: Health) -> int:
    """4 waiting, 3 unhealthy or unknown, 2 running, 1 pending, 0 ended (contract 5.6)."""
    rank = ATTENTION_OF_STATE[state]
    return 3 if 0 < rank < 3 and health != "ok" else rank
