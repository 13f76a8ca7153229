"""Records and frames of the contract, filled in as far as a test does not care."""

from typing import Any

import msgspec

from runwatch_shared.models import (
    Agent,
    Burn,
    Capacity,
    Event,
    EventView,
    FleetBurn,
    Node,
    Prompt,
    QueueWait,
    Run,
    Slots,
    Snapshot,
    Stats,
    StatusSource,
    Task,
    TaskRuns,
    Usage,
    UsageTotals,
    Waiting,
    WaitingTotals,
    WorkflowSummary,
)
from runwatch_shared.wire import (
    ChangeFrame,
    HeartbeatFrame,
    HelloFrame,
    LeaseSettings,
    NodeChanges,
    ServerAuth,
    ServerInfo,
    SnapshotFrame,
    WorkflowChanges,
    WorkflowKey,
    WorkflowList,
)

NOW = "2026-11-23T10:31:22.000000Z"
EARLIER = "2026-11-23T10:00:00.000000Z"
STORE = "9f3c2b1a77e0d415"


def summary(run_id: str = "run-000000000001", **values: Any) -> WorkflowSummary:
    base: dict[str, Any] = {
        "id": run_id,
        "type": "run",
        "name": "add-metrics",
        "state": "running",
        "progress": 50,
        "status": "running",
        "cancelling": False,
        "event_count": 12,
        "last_seq": 12,
        "start_time": EARLIER,
        "started_at": EARLIER,
        "update_time": NOW,
        "activity_text": "Bash: pytest -q",
        "node_id": "n1",
        "agent_type": "claude-code",
        "task_id": "task-000000000001",
        "labels": {},
        "health": "ok",
        "usage": Usage(
            input_tokens=1000,
            output_tokens=200,
            cache_read_tokens=0,
            cache_write_tokens=0,
            total_tokens=1200,
            cost_usd=0.31,
            partial=False,
            as_of=NOW,
        ),
        "burn": Burn(cost_usd_per_h=1.5, tokens_per_min=300.0, window_s=600, as_of=NOW),
        "tool_calls": 4,
        "tool_failures": 1,
        "open_tools": 0,
        "revision": 800,
        "status_source": StatusSource(kind="event", at=NOW),
        "attention": 2,
        "metadata": {},
    }
    return WorkflowSummary(**{**base, **values})


def waiting_summary(run_id: str = "run-000000000001") -> WorkflowSummary:
    return summary(
        run_id,
        state="waiting",
        attention=4,
        waiting=Waiting(
            kind="approval", since=EARLIER, prompt="git push origin main?", open=1, holds_slot=True
        ),
    )


def node(node_id: str = "n1", **values: Any) -> Node:
    base: dict[str, Any] = {
        "id": node_id,
        "labels": {"gpu": "yes"},
        "status": "online",
        "admin_status": "active",
        "last_heartbeat": NOW,
        "capacity": Capacity(max_concurrent=4, available=3),
        "allocated": 1,
        "agents": [],
        "logins": [],
        "runtimes": ["process"],
        "active_runs": 1,
        "created_at": EARLIER,
        "updated_at": NOW,
        "revision": 700,
    }
    return Node(**{**base, **values})


def stats(**values: Any) -> Stats:
    base: dict[str, Any] = {
        "total_workflows": 5140,
        "active_workflows": 19,
        "completed_today": 301,
        "failed_today": 7,
        "cancelled_today": 4,
        "avg_duration_ms": 412000,
        "workflows_by_type": {"auth": 12, "run": 5128},
        "workflows_by_state": {
            "pending": 6,
            "running": 10,
            "waiting": 3,
            "completed": 5000,
            "failed": 121,
            "unknown": 0,
        },
        "total_tasks": 4000,
        "tasks_by_status": {},
        "total_runs": 5128,
        "active_runs": 19,
        "runs_by_status": {},
        "total_nodes": 6,
        "online_nodes": 5,
        "nodes_by_status": {"online": 5, "draining": 1, "offline": 0},
        "total_events": 1_000_000,
        "health": {"ok": 17, "stalled": 2, "looping": 0},
        "waiting": WaitingTotals(count=3, oldest_since=EARLIER, held_slots=3),
        "slots": Slots(capacity=24, allocated=15, free=9),
        "usage": UsageTotals(today=None, total=None),
        "burn": FleetBurn(cost_usd_per_h=4.1, tokens_per_min=81000.0, window_s=600),
        "queue_wait_ms": QueueWait(p50=900, p95=41000, samples=212, window_s=3600),
        "failures_per_h": 6,
        "day_start": EARLIER,
        "revision": 812,
        "server_time": NOW,
    }
    return Stats(**{**base, **values})


def hello(revision: int = 812, **values: Any) -> HelloFrame:
    base: dict[str, Any] = {
        "protocol": 1,
        "protocol_min": 1,
        "revision": revision,
        "store": STORE,
        "server_time": NOW,
        "heartbeat_s": 5,
        "version": "0.1.0",
        "scope": "admin",
        "limits": {},
        "resumed": False,
    }
    return HelloFrame(**{**base, **values})


def snapshot(revision: int = 812, **values: Any) -> SnapshotFrame:
    base: dict[str, Any] = {
        "sub": 1,
        "revision": revision,
        "server_time": NOW,
        "part": 1,
        "last": True,
    }
    return SnapshotFrame(**{**base, **values})


def change(previous: int, revision: int, **values: Any) -> ChangeFrame:
    base: dict[str, Any] = {
        "sub": 1,
        "previous": previous,
        "revision": revision,
        "server_time": NOW,
        "entered": 0,
        "left": 0,
    }
    return ChangeFrame(**{**base, **values})


def workflows(*upsert: WorkflowSummary, remove: tuple[str, ...] = ()) -> WorkflowChanges:
    keys = [WorkflowKey(type="run", id=run_id) for run_id in remove]
    return WorkflowChanges(upsert=list(upsert), remove=keys)


def node_changes(*upsert: Node, remove: tuple[str, ...] = ()) -> NodeChanges:
    return NodeChanges(upsert=list(upsert), remove=list(remove))


def heartbeat(revision: int) -> HeartbeatFrame:
    return HeartbeatFrame(revision=revision, server_time=NOW)


def event(seq: int, text: str = "line", **values: Any) -> Event:
    base: dict[str, Any] = {
        "id": seq,
        "run_id": "run-000000000001",
        "seq": seq,
        "epoch": 1,
        "type": "message",
        "timestamp": NOW,
        "received_at": NOW,
        "level": "info",
        "payload": msgspec.Raw(msgspec.json.encode({"role": "assistant", "content": text})),
    }
    return Event(**{**base, **values})


def event_view(seq: int, text: str = "line", **values: Any) -> EventView:
    made = event(seq, text, **values)
    fields = {name: getattr(made, name) for name in made.__struct_fields__ if name != "id"}
    return EventView(id=f"{made.run_id}:{seq}", data=made.payload, producer_id="n1", **fields)


def page(*runs: WorkflowSummary, **values: Any) -> WorkflowList:
    base: dict[str, Any] = {
        "workflows": list(runs),
        "total": len(runs),
        "total_exact": True,
        "limit": 1000,
        "offset": 0,
        "next_cursor": None,
        "revision": 812,
        "server_time": NOW,
    }
    return WorkflowList(**{**base, **values})


def server_info() -> ServerInfo:
    return ServerInfo(
        version="0.1.0",
        protocol=1,
        protocol_min=1,
        store=STORE,
        revision=812,
        server_time=NOW,
        started_at=EARLIER,
        auth=ServerAuth(mode="local", scope="admin"),
        limits={},
        health_thresholds={},
        lease=LeaseSettings(ttl_s=45, claim_s=30, lost_after_s=86400, cancel_grace_s=60),
        retention={},
        time_zone="UTC",
        features=[],
    )


def task(task_id: str = "task-000000000001") -> Task:
    return Task(
        id=task_id,  # type: ignore[arg-type]  # NewTypes are for the program, not for samples
        name="hello",
        status="pending",
        type="command",
        agent=Agent(type="command"),
        prompt=Prompt(content=""),
        labels={},
        priority=0,
        retry_on_lost=False,
        runs=TaskRuns(total=0, active=0),
        created_at=NOW,
        updated_at=NOW,
        revision=1,
    )


def run(run_id: str = "run-000000000001", **values: Any) -> Run:
    base: dict[str, Any] = {
        "id": run_id,
        "task_id": "task-000000000001",
        "attempt": 1,
        "status": "queued",
        "origin": "scheduled",
        "controllable": True,
        "agent_type": "command",
        "labels": {},
        "priority": 0,
        "retry_on_lost": False,
        "created_at": NOW,
        "updated_at": NOW,
        "first_seq": 0,
        "last_seq": 0,
        "event_count": 0,
        "seq_holes": 0,
        "usage": None,
        "tool_calls": 0,
        "tool_failures": 0,
        "revision": 1,
        "snapshot": Snapshot(
            task_id="task-000000000001",  # type: ignore[arg-type]  # as above
            name="hello",
            agent=Agent(type="command"),
            prompt="",
            labels={},
        ),
    }
    return Run(**{**base, **values})
