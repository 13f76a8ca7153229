"""The plan of Claude Code's lead: a list it rewrites (``TodoWrite``), or tasks it adds and changes.

``TaskCreate`` and ``TaskUpdate`` took the place of ``TodoWrite`` in 2.1.3xx (`agent-formats` 1.7).
"""

import re
from typing import Any, Final

from runwatch_nodemanager.agents.calls import plan
from runwatch_nodemanager.agents.claude_state import ClaudeState, PlannedTask
from runwatch_nodemanager.agents.json_values import Json, list_at, text_at
from runwatch_nodemanager.agents.protocol import Draft

MOST_TASKS: Final = 200
CREATED: Final = re.compile(r"Task #(\w{1,20}) created successfully: (.*)")
GONE: Final = frozenset({"deleted", "cancelled"})


def todo_list(arguments: Json) -> Draft | None:
    """The list that a ``TodoWrite`` call brings."""
    todos = list_at(arguments, "todos")
    items = [
        (text_at(todo, "content") or "", text_at(todo, "status") == "completed") for todo in todos
    ]
    now = [
        text_at(todo, "activeForm") or text_at(todo, "content")
        for todo in todos
        if text_at(todo, "status") == "in_progress"
    ]
    return plan(items, now[0] if now else None)


def task_result(state: ClaudeState, tool: str, structured: Any, text: str) -> Draft | None:
    """The plan after a call of ``TaskCreate`` or ``TaskUpdate`` that succeeded."""
    tasks = state.tasks
    if tool == "TaskCreate":
        told = CREATED.match(text)
        task_id = text_at(structured, "task", "id") or (told[1] if told else None)
        subject = text_at(structured, "task", "subject") or (told[2] if told else None)
        if task_id is None or len(tasks) >= MOST_TASKS:
            return None
        tasks[task_id] = PlannedTask(subject=(subject or "")[:500])
    elif tool == "TaskUpdate":
        task_id = text_at(structured, "taskId")
        status = text_at(structured, "statusChange", "to")
        if task_id is None or status is None or task_id not in tasks:
            return None
        if status in GONE:
            del tasks[task_id]
        else:
            tasks[task_id].status = status
    else:
        return None
    now = [task.subject for task in tasks.values() if task.status == "in_progress"]
    items = [(task.subject, task.status == "completed") for task in tasks.values()]
    return plan(items, now[0] if now else None)
