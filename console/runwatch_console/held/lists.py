"""Pages of a list of runs, as `GET /monitor/workflows` answers (contract 6.1)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from runwatch_console.held.holdings import Holdings
from runwatch_shared.models import WorkflowSummary
from runwatch_shared.wire import NodeList, WorkflowList

ACTIVE: Final = frozenset({"pending", "running", "waiting", "unknown"})

_TESTS: Final[dict[str, Callable[[WorkflowSummary, str], bool]]] = {
    "type": lambda row, wanted: row.type in wanted.split(","),
    "state": lambda row, wanted: row.state in wanted.split(","),
    "status": lambda row, wanted: row.status in wanted.split(","),
    "node": lambda row, wanted: (row.node_id or "") in wanted.split(","),
    "agent_type": lambda row, wanted: row.agent_type in wanted.split(","),
    "health": lambda row, wanted: row.health in wanted.split(","),
    "task": lambda row, wanted: row.task_id == wanted,
    "waiting": lambda row, wanted: (row.waiting is not None) == (wanted == "true"),
    "active": lambda row, wanted: (row.state in ACTIVE) == (wanted == "true"),
    "since": lambda row, moment: row.update_time >= moment,
    "until": lambda row, moment: row.update_time <= moment,
    "label": lambda row, wanted: _has_label(row, *wanted.partition(":")),
    "q": lambda row, wanted: wanted.casefold() in _searched(row),
}
_ORDERS: Final[dict[str, Callable[[WorkflowSummary], Any]]] = {
    "attention": lambda row: (row.attention, row.update_time),
    "update_time": lambda row: row.update_time,
    "start_time": lambda row: row.start_time,
    "name": lambda row: row.name,
    "duration_ms": lambda row: row.duration_ms or 0,
    "cost_usd": lambda row: (row.usage.cost_usd or 0.0) if row.usage is not None else 0.0,
    "total_tokens": lambda row: row.usage.total_tokens if row.usage is not None else 0,
    "tool_failures": lambda row: row.tool_failures,
}


def workflow_page(
    fleet: Holdings, query: Mapping[str, str], *, limit: int, cursor: str | None
) -> WorkflowList:
    """One page; the cursor is the number of rows before it."""
    tests = [(test, query[name]) for name, test in _TESTS.items() if query.get(name)]
    rows = [row for row in fleet.runs.values() if all(test(row, text) for test, text in tests)]
    sort = query.get("sort", "-update_time")
    order = _ORDERS.get(sort.removeprefix("-"), _ORDERS["update_time"])
    rows.sort(key=lambda row: (order(row), row.id), reverse=sort.startswith("-"))
    offset = int(cursor) if cursor is not None and cursor.isdecimal() else 0
    end = offset + limit
    return WorkflowList(
        workflows=rows[offset:end],
        total=len(rows) if tests or fleet.total is None else max(fleet.total, len(rows)),
        total_exact=True,
        limit=limit,
        offset=offset,
        next_cursor=str(end) if end < len(rows) else None,
        revision=fleet.revision,
        server_time=fleet.server_time,
    )


def node_list(fleet: Holdings) -> NodeList:
    """All nodes, as `GET /nodes` answers (contract 11.1)."""
    nodes = list(fleet.nodes.values())
    return NodeList(
        nodes=nodes,
        count=len(nodes),
        next_cursor=None,
        revision=fleet.revision,
        server_time=fleet.server_time,
    )


def _searched(row: WorkflowSummary) -> str:
    return f"{row.id} {row.name} {row.task_id or ''} {row.node_id or ''}".casefold()


def _has_label(row: WorkflowSummary, key: str, colon: str, value: str) -> bool:
    return row.labels.get(key) == value if colon else key in row.labels
