"""Which columns and fields the lists of runs and nodes have without a screen; pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from runwatch_console.columns import NODE_COLUMNS, RUN_COLUMNS, Column, RowT
from runwatch_console.headless.formats import Value
from runwatch_console.rows import NodeRow, RunRow, node_row, run_row
from runwatch_shared.models import Node, WorkflowSummary
from runwatch_shared.wire import ChangeFrame, SnapshotFrame, Topic

RecordT = TypeVar("RecordT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing(Generic[RecordT, RowT]):
    """One kind of list: how a record of the wire is shown, and where the feed carries it."""

    topic: Topic
    columns: Sequence[Column[RowT]]
    fields: Sequence[tuple[str, Callable[[RecordT], Value]]]
    """Of a CSV line."""
    key: Callable[[RecordT], str]
    row: Callable[[RecordT], RowT]
    snapshot: Callable[[SnapshotFrame], Sequence[RecordT]]
    upserts: Callable[[ChangeFrame], Sequence[RecordT]]
    removals: Callable[[ChangeFrame], Sequence[str]]


def whole_id(column: Column[RunRow]) -> Column[RunRow]:
    """Without a screen an id is there to be copied."""
    if column.title != "col.run":
        return column
    return Column(title="col.run", width=16, cell=lambda run, _: (run.id, "id"))


RUNS: Final[Listing[WorkflowSummary, RunRow]] = Listing(
    topic="workflows",
    columns=tuple(map(whole_id, RUN_COLUMNS)),
    fields=(
        ("id", lambda run: run.id),
        ("type", lambda run: run.type),
        ("name", lambda run: run.name),
        ("state", lambda run: run.state),
        ("status", lambda run: run.status),
        ("health", lambda run: run.health),
        ("agent_type", lambda run: run.agent_type),
        ("node_id", lambda run: run.node_id),
        ("task_id", lambda run: run.task_id),
        ("start_time", lambda run: run.start_time),
        ("started_at", lambda run: run.started_at),
        ("end_time", lambda run: run.end_time),
        ("duration_ms", lambda run: run.duration_ms),
        ("queue_wait_ms", lambda run: run.queue_wait_ms),
        ("event_count", lambda run: run.event_count),
        ("last_seq", lambda run: run.last_seq),
        ("total_tokens", lambda run: run.usage.total_tokens if run.usage else None),
        ("cost_usd", lambda run: run.usage.cost_usd if run.usage else None),
        ("tool_calls", lambda run: run.tool_calls),
        ("tool_failures", lambda run: run.tool_failures),
        ("exit_code", lambda run: run.exit_code),
        ("error_code", lambda run: run.error_code),
        ("error", lambda run: run.error),
        ("health_reason", lambda run: run.health_reason),
        ("queue_reason", lambda run: run.queue_reason),
        ("waiting_for", lambda run: run.waiting.prompt if run.waiting else None),
        ("activity_text", lambda run: run.activity_text),
    ),
    key=lambda run: run.id,
    row=run_row,
    snapshot=lambda frame: frame.workflows or (),
    upserts=lambda frame: frame.workflows.upsert if frame.workflows else (),
    removals=lambda frame: [key.id for key in frame.workflows.remove] if frame.workflows else [],
)

NODES: Final[Listing[Node, NodeRow]] = Listing(
    topic="nodes",
    columns=NODE_COLUMNS,
    fields=(
        ("id", lambda node: node.id),
        ("display_name", lambda node: node.display_name),
        ("hostname", lambda node: node.hostname),
        ("status", lambda node: node.status),
        ("admin_status", lambda node: node.admin_status),
        ("last_heartbeat", lambda node: node.last_heartbeat),
        ("max_concurrent", lambda node: node.capacity.max_concurrent),
        ("max_concurrent_override", lambda node: node.max_concurrent_override),
        ("allocated", lambda node: node.allocated),
        ("real", lambda node: node.ledger.real if node.ledger else None),
        ("phantom", lambda node: node.ledger.phantom if node.ledger else None),
        ("orphan", lambda node: node.ledger.orphan if node.ledger else None),
        ("active_runs", lambda node: node.active_runs),
        ("agents", lambda node: " ".join(offer.type for offer in node.agents if offer.ready)),
        ("spool_events", lambda node: node.spool.events if node.spool else None),
        ("clock_skew_ms", lambda node: node.clock_skew_ms),
        ("version", lambda node: node.version),
    ),
    key=lambda node: node.id,
    row=node_row,
    snapshot=lambda frame: frame.nodes or (),
    upserts=lambda frame: frame.nodes.upsert if frame.nodes else (),
    removals=lambda frame: frame.nodes.remove if frame.nodes else (),
)
