"""What the console's requests say: paths, query parameters and bodies; pure.

Source: contract sections 6 and 8.
"""

from urllib.parse import quote

from runwatch_console.ports import EventQuery, NewTask
from runwatch_shared.models import Constraints
from runwatch_shared.wire import AgentRequest, TaskRequest


def path_part(identifier: str) -> str:
    """An id as one part of a path; it cannot leave its place."""
    return quote(identifier, safe="")


def workflow_path(run_id: str) -> str:
    """Where a run's detail is."""
    return f"/api/v1/monitor/workflows/run/{path_part(run_id)}"


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
