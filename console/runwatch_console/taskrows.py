"""The rows and columns of the Tasks table and of a task's runs, and what is known of a task; every
text from outside is made harmless here.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from runwatch_console.columns import CellText, Column, short_agent, short_id
from runwatch_console.facts import Fact
from runwatch_console.formats import (
    UNKNOWN,
    format_amount,
    format_cost,
    format_count,
    format_duration,
    moment_s,
)
from runwatch_console.lens import Lens
from runwatch_console.looks import (
    CANCEL,
    DONE,
    FAIL,
    QUEUE,
    RUN,
    Look,
    look_of_status,
)
from runwatch_console.looks import (
    UNKNOWN as UNKNOWN_LOOK,
)
from runwatch_console.rows import clean_labels, short
from runwatch_shared.models import Run, Task
from runwatch_shared.states import TERMINAL_STATUSES

PROMPT_LIMIT: Final = 2_000


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A task (contract 5.2) as the console needs it; moments are seconds since the epoch."""

    id: str
    name: str
    status: str
    agent: str
    model: str
    runs: int
    active: int
    last_run: str
    last_status: str
    created_s: float | None
    updated_s: float | None
    priority: int
    timeout_s: int | None
    labels: Mapping[str, str]
    description: str
    prompt: str
    pinned_to: str
    revision: int


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a task (contract 5.3)."""

    id: str
    attempt: int
    status: str
    node: str
    created_s: float | None
    began_s: float | None
    ended_s: float | None
    tokens: int | None
    cost_usd: float | None
    tool_calls: int
    why: str
    ended: bool


def task_row(task: Task) -> TaskRow:
    """A row from a task."""
    return TaskRow(
        id=short(task.id),
        name=short(task.name),
        status=short(task.status),
        agent=short(task.agent.type),
        model=short(task.agent.model or ""),
        runs=task.runs.total,
        active=task.runs.active,
        last_run=short(task.runs.last_run_id or ""),
        last_status=short(task.runs.last_status or ""),
        created_s=moment_s(task.created_at),
        updated_s=moment_s(task.updated_at),
        priority=task.priority,
        timeout_s=task.timeout_s,
        labels=clean_labels(task.labels),
        description=short(task.description or "", 600),
        prompt=short(task.prompt.content, PROMPT_LIMIT),
        pinned_to=short((task.constraints.node_id if task.constraints else None) or ""),
        revision=task.revision,
    )


def attempt_row(run: Run) -> AttemptRow:
    """A row from a run."""
    parts = [
        f"exit {run.exit_code}" if run.exit_code else "",
        run.error_code or "",
        run.error or "",
    ]
    return AttemptRow(
        id=short(run.id),
        attempt=run.attempt,
        status=short(run.status),
        node=short(run.node_id or ""),
        created_s=moment_s(run.created_at),
        began_s=moment_s(run.started_at),
        ended_s=moment_s(run.finished_at),
        tokens=run.usage.total_tokens if run.usage else None,
        cost_usd=run.usage.cost_usd if run.usage else None,
        tool_calls=run.tool_calls,
        why=short(" · ".join(part for part in parts if part), 400),
        ended=run.status in TERMINAL_STATUSES,
    )


_LOOKS: Final[Mapping[str, Look]] = {
    "pending": QUEUE,
    "in_progress": RUN,
    "completed": DONE,
    "failed": FAIL,
    "cancelled": CANCEL,
}
TASK_STATUSES: Final = tuple(_LOOKS)


def look_of_task(task: TaskRow) -> Look:
    """The look of a task's status."""
    return _LOOKS.get(task.status, UNKNOWN_LOOK)


def _runs(task: TaskRow) -> str:
    return f"{format_count(task.runs)} ({task.active})" if task.active else format_count(task.runs)


def _muted_if_none(text: str) -> CellText:
    return (text, "") if text else (UNKNOWN, "muted")


def _since(moment: float | None, lens: Lens) -> str:
    return lens.age(None if moment is None else lens.now_s - moment)


TASK_COLUMNS: Final[tuple[Column[TaskRow], ...]] = (
    Column(
        title="col.state",
        width=9,
        cell=lambda task, lens: (lens.look(look_of_task(task)), look_of_task(task).tone),
    ),
    Column(
        title="col.age",
        width=7,
        align="right",
        cell=lambda task, lens: (_since(task.created_s, lens), ""),
    ),
    Column(
        title="col.task_id", width=12, priority=3, cell=lambda task, _: (short_id(task.id), "id")
    ),
    Column(title="col.task", width=16, flex=4, cell=lambda task, _: (task.name, "")),
    Column(
        title="col.agent", width=8, priority=4, cell=lambda task, _: (short_agent(task.agent), "")
    ),
    Column(
        title="col.runs", width=9, align="right", priority=1, cell=lambda task, _: (_runs(task), "")
    ),
    Column(
        title="col.last_run",
        width=12,
        priority=5,
        cell=lambda task, _: (short_id(task.last_run) or UNKNOWN, "id" if task.last_run else ""),
    ),
    Column(
        title="col.changed",
        width=8,
        align="right",
        priority=6,
        cell=lambda task, lens: (_since(task.updated_s, lens), "muted"),
    ),
    Column(
        title="col.priority",
        width=5,
        align="right",
        priority=8,
        cell=lambda task, _: (str(task.priority) if task.priority else UNKNOWN, "muted"),
    ),
    Column(
        title="col.labels",
        width=12,
        flex=3,
        priority=7,
        cell=lambda task, _: _muted_if_none(_labels(task)),
    ),
)


def _labels(task: TaskRow) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(task.labels.items()))


ATTEMPT_COLUMNS: Final[tuple[Column[AttemptRow], ...]] = (
    Column(
        title="col.attempt", width=3, align="right", cell=lambda run, _: (str(run.attempt), "muted")
    ),
    Column(
        title="col.state",
        width=9,
        cell=lambda run, lens: (
            lens.look(look_of_status(run.status)),
            look_of_status(run.status).tone,
        ),
    ),
    Column(
        title="col.age",
        width=7,
        align="right",
        cell=lambda run, lens: (_since(run.created_s, lens), ""),
    ),
    Column(title="col.run", width=16, cell=lambda run, _: (run.id, "id")),
    Column(title="col.node", width=8, priority=3, cell=lambda run, _: _muted_if_none(run.node)),
    Column(
        title="col.took",
        width=7,
        align="right",
        priority=4,
        cell=lambda run, lens: (format_duration(_took_s(run, lens)), ""),
    ),
    Column(
        title="col.tokens",
        width=5,
        align="right",
        priority=6,
        cell=lambda run, _: (format_amount(run.tokens), ""),
    ),
    Column(
        title="col.cost",
        width=6,
        align="right",
        priority=5,
        cell=lambda run, _: (format_cost(run.cost_usd), ""),
    ),
    Column(title="col.why", width=10, flex=1, priority=2, cell=lambda run, _: (run.why, "muted")),
)


def _took_s(run: AttemptRow, lens: Lens) -> float | None:
    if run.began_s is None:
        return None
    return (run.ended_s if run.ended_s is not None else lens.now_s) - run.began_s


def task_facts(task: TaskRow, lens: Lens) -> list[Fact]:
    """Everything known of a task."""
    look = look_of_task(task)
    model = f" · {task.model}" if task.model else ""
    times = f"{lens.words('fact.created', at=lens.since(task.created_s))}"
    facts = [
        Fact("fact.state", f"{lens.look(look)} · {lens.words(f'task.{task.status}')}", look.tone)
        if task.status in _LOOKS
        else Fact("fact.state", task.status, "unknown"),
        Fact("fact.task", f"{task.id}  {task.name}"),
        Fact("fact.where", f"{task.agent}{model}"),
        Fact("fact.began", times),
        Fact(
            "fact.runs",
            lens.words("fact.run_counts", n=format_count(task.runs), active=task.active),
        ),
    ]
    if task.last_run:
        facts.append(Fact("", f"{task.last_run} {task.last_status}", "muted"))
    if task.pinned_to:
        facts.append(Fact("fact.pinned", task.pinned_to))
    if task.labels:
        facts.append(Fact("fact.labels", _labels(task)))
    if task.description:
        facts.append(Fact("fact.description", task.description))
    if task.prompt:
        facts.append(Fact("fact.prompt", task.prompt, "muted"))
    return facts
