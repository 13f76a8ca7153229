"""What the console's requests say: paths, query parameters and bodies; pure.

Source: contract sections 6 and 8.
"""

from urllib.parse import quote

from runwatch_console.ports import EventQuery, NewTask
from runwatch_shared.models import Constraints, WorkflowType
from runwatch_shared.wire import AgentRequest, TaskRequest


def path_part(identifier: str) -> str:
    """An id as one part of a path; it cannot leave its place."""
    return quote(identifier, safe="")


def workflow_type(workflow_id: str) -> WorkflowType:
    """Of which type a workflow is: the server makes ids with a prefix (contract 1.1)."""
    return "auth" if workflow_id.startswith(("act-", "op-")) else "run"


def workflow_path(workflow_id: str) -> str:
    """Where the detail of a run or of a login is."""
    kind = workflow_type(workflow_id)
    return f"/api/v1/monitor/workflows/{kind}/{path_part(workflow_id)}"


def socket_path(workflow_id: str) -> str:
    """Where its live events are (contract 10)."""
    if workflow_type(workflow_id) == "run":
        return f"/ws/runs/{path_part(workflow_id)}/events"
    return f"/ws/workflows/auth/{path_part(workflow_id)}/events"


def event_query(query: EventQuery) -> dict[str, str]:
    """The parameters of a page of events."""
    values = {
        "after_seq": query.after_seq,
        "before_seq": query.before_seq,
        "tail": "true" if query.tail else None,
        "limit": query.limit,
        "type": ",".join(query.types) or None,
        "level": ",".join(query.levels) or None,
        "q": query.q or None,
        "include": "raw" if query.include_raw else None,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def task_request(task: NewTask) -> TaskRequest:
    """The body of POST /tasks."""
    return TaskRequest(
        name=task.name,
        prompt=task.prompt or None,
        agent=AgentRequest(
            type=task.agent_type,
            model=task.model or None,
            parameters={"argv": list(task.argv)} if task.argv else None,
        ),
        labels=dict(task.labels) or None,
        constraints=Constraints(node_id=task.node_id) if task.node_id else None,
        priority=task.priority,
        timeout_s=task.timeout_s,
    )
