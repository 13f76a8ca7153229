"""Wire records for console tests, with sensible values for all that a test does not care about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from runwatch_shared.models import (
    Account,
    Agent,
    AgentOffer,
    Burn,
    Capacity,
    Event,
    EventView,
    FleetBurn,
    History,
    Lane,
    Login,
    Node,
    Prompt,
    QueueWait,
    RelatedIds,
    Run,
    RunId,
    Slots,
    Snapshot,
    StateData,
    Stats,
    StatusSource,
    Step,
    Task,
    TaskRuns,
    ToolTotal,
    Usage,
    UsageTotals,
    Waiting,
    WaitingTotals,
    WorkflowDetail,
    WorkflowSummary,
)
from runwatch_shared.wire import (
    AccountChanges,
    ChangeFrame,
    EventViewPage,
    Gap,
    HeartbeatFrame,
    HelloFrame,
    LeaseSettings,
    NodeChanges,
    ServerAuth,
    ServerInfo,
    SnapshotFrame,
    WorkflowChanges,
    WorkflowKey,
)

NOW = datetime(2026, 11, 23, 10, 31, 22, tzinfo=UTC)
"""The server's clock in tests."""
NOW_S = NOW.timestamp()


def at(seconds_ago: float = 0.0) -> str:
    """A moment before NOW, as it stands on the wire."""
    return (
        (NOW - timedelta(seconds=seconds_ago))
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


_STATES = {
    "queued": ("pending", 1),
    "assigned": ("pending", 1),
    "running": ("running", 2),
    "done": ("completed", 0),
    "failed": ("failed", 0),
    "cancelled": ("failed", 0),
    "timeout": ("failed", 0),
}


def usage(tokens: int = 1_000, cost: float | None = 0.31, **more: Any) -> Usage:
    """Usage of so many tokens."""
    facts: dict[str, Any] = {
        "input_tokens": tokens // 2,
        "output_tokens": tokens - tokens // 2,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "total_tokens": tokens,
        "cost_usd": cost,
        "partial": False,
        "as_of": at(),
    }
    return Usage(**(facts | more))


def waiting(prompt: str = "git push origin main?", **more: Any) -> Waiting:
    """An open wait."""
    facts: dict[str, Any] = {
        "kind": "approval",
        "since": at(600),
        "prompt": prompt,
        "open": 1,
        "holds_slot": True,
    }
    return Waiting(**(facts | more))


def summary(
    run_id: str = "run-000000000001", status: str = "running", **more: Any
) -> WorkflowSummary:
    """A run's row. `age_s`: how long ago it was created."""
    age_s = more.pop("age_s", 720.0)
    state, attention = _STATES[status]
    if "waiting" in more and more["waiting"] is not None:
        state, attention = "waiting", 4
    elif more.get("health", "ok") != "ok" and attention:
        attention = 3
    ended = status in ("done", "failed", "cancelled", "timeout")
    facts: dict[str, Any] = {
        "id": run_id,
        "type": "run",
        "name": "add-metrics",
        "state": state,
        "progress": 50,
        "status": status,
        "cancelling": False,
        "event_count": 40,
        "last_seq": 40,
        "start_time": at(age_s),
        "started_at": at(age_s - 1) if status not in ("queued", "assigned") else None,
        "end_time": at(60) if ended else None,
        "update_time": at(60),
        "last_activity_at": at(3),
        "activity_text": "Edit src/metrics.py" if status == "running" else None,
        "node_id": None if status == "queued" else "n1",
        "agent_type": "claude-code",
        "task_id": "task-000000000001",
        "labels": {},
        "health": "ok",
        "usage": None,
        "tool_calls": 0,
        "tool_failures": 0,
        "open_tools": 0,
        "revision": 1,
        "status_source": StatusSource(kind="event", at=at(60)),
        "attention": attention,
        "metadata": {},
    }
    return WorkflowSummary(**(facts | more))


def node(node_id: str = "n1", status: str = "online", **more: Any) -> Node:
    """A node's row."""
    facts: dict[str, Any] = {
        "id": node_id,
        "labels": {},
        "version": "0.1.0",
        "status": status,
        "admin_status": "active",
        "last_heartbeat": at(180 if status == "offline" else 3),
        "offline_since": at(135) if status == "offline" else None,
        "capacity": Capacity(max_concurrent=4, available=1),
        "allocated": 3,
        "agents": [AgentOffer(type="claude-code"), AgentOffer(type="command")],
        "logins": [],
        "runtimes": ["process"],
        "active_runs": 3,
        "created_at": at(90_000),
        "updated_at": at(3),
        "revision": 1,
    }
    return Node(**(facts | more))


def stats(**more: Any) -> Stats:
    """The fleet in numbers."""
    facts: dict[str, Any] = {
        "total_workflows": 5_140,
        "active_workflows": 19,
        "completed_today": 301,
        "failed_today": 1,
        "cancelled_today": 4,
        "avg_duration_ms": 412_000,
        "workflows_by_type": {"run": 5_140, "auth": 0},
        "workflows_by_state": {
            "pending": 6,
            "running": 12,
            "waiting": 3,
            "completed": 5_000,
            "failed": 119,
            "unknown": 0,
        },
        "total_tasks": 5_000,
        "tasks_by_status": {"pending": 0, "in_progress": 19, "completed": 4_900, "failed": 81},
        "total_runs": 5_140,
        "active_runs": 19,
        "runs_by_status": {"running": 13},
        "total_nodes": 6,
        "online_nodes": 5,
        "nodes_by_status": {"online": 5, "offline": 1},
        "total_events": 1_200_000,
        "health": {"stalled": 2, "looping": 1},
        "waiting": WaitingTotals(count=3, oldest_since=at(8_040), held_slots=3),
        "slots": Slots(capacity=24, allocated=15, free=9),
        "usage": UsageTotals(today=usage(8_100_000, 41.2), total=usage(91_000_000, 812.0)),
        "burn": FleetBurn(cost_usd_per_h=4.1, tokens_per_min=81_000, window_s=600),
        "queue_wait_ms": QueueWait(p50=900, p95=41_000, samples=212, window_s=3600),
        "failures_per_h": 6,
        "day_start": at(38_000),
        "revision": 1,
        "server_time": at(),
    }
    return Stats(**(facts | more))


def history(minutes: int = 30) -> History:
    """Half an hour with a minute missing."""

    def wave(step: int, size: int) -> list[float | None]:
        values: list[float | None] = [
            float((minute * step) % size + size // 3) for minute in range(minutes)
        ]
        values[minutes // 3] = None
        return values

    return History(
        bucket_s=60,
        from_=at(1800),
        to=at(),
        series={
            "queued": wave(3, 7),
            "running": wave(5, 13),
            "waiting": wave(2, 4),
            "completed": wave(7, 11),
            "failed": wave(1, 3),
            "cancelled": wave(1, 2),
            "events": wave(31, 170),
            "tokens": wave(977, 90_000),
            "cost_usd": wave(3, 9),
            "queue_wait_p50_ms": wave(130, 900),
            "queue_wait_p95_ms": wave(1_300, 41_000),
            "slots_allocated": wave(5, 20),
            "nodes_online": [6.0] * minutes,
        },
        server_time=at(),
    )


def event(seq: int, type_: str = "message", payload: Any = None, **more: Any) -> Event:
    """An event of a run."""
    body = {"role": "assistant", "content": f"line {seq}"} if payload is None else payload
    facts: dict[str, Any] = {
        "id": seq,
        "run_id": "run-000000000001",
        "seq": seq,
        "epoch": 1,
        "type": type_,
        "timestamp": at(1000 - seq % 1000),
        "received_at": at(1000 - seq % 1000),
        "level": "info",
        "payload": msgspec.Raw(msgspec.json.encode(body)),
    }
    return Event(**(facts | more))


def view(of: Event) -> EventView:
    """The same event as the monitor shows it."""
    return EventView(
        id=f"{of.run_id}:{of.seq}",
        run_id=of.run_id,
        seq=of.seq,
        epoch=of.epoch,
        type=of.type,
        timestamp=of.timestamp,
        received_at=of.received_at,
        level=of.level,
        payload=of.payload,
        producer_id="n1",
    )


def page(
    events: list[Event],
    *,
    has_before: bool = False,
    has_after: bool = False,
    gap: Gap | None = None,
    total: int | None = None,
) -> EventViewPage:
    """A page of events."""
    return EventViewPage(
        events=[view(each) for each in events],
        total=len(events) if total is None else total,
        first_seq=events[0].seq if events else 0,
        last_seq=events[-1].seq if events else 0,
        has_before=has_before,
        has_after=has_after,
        gap=gap,
        server_time=at(),
    )


def detail(of: WorkflowSummary, **more: Any) -> WorkflowDetail:
    """A run's detail with lanes, tools and steps."""
    facts = {name: getattr(of, name) for name in WorkflowSummary.__struct_fields__}
    facts |= {
        "events": [],
        "events_truncated": True,
        "steps": [
            Step(id="s1", kind="phase", name="queued", status="succeeded",
                 started_at=at(720), ended_at=at(700), duration_ms=20_000),
            Step(id="s2", kind="phase", name="running", status="open", started_at=at(690)),
            Step(id="s3", kind="tool", name="Bash", status="failed", started_at=at(600),
                 ended_at=at(480), duration_ms=120_000, detail="pytest -q"),
            Step(id="s4", kind="tool", name="Edit", status="succeeded", started_at=at(470),
                 ended_at=at(465), duration_ms=5_000),
            Step(id="s5", kind="tool", name="Bash", status="open", started_at=at(60)),
        ],
        "steps_total": 91,
        "tools": [
            ToolTotal(tool="Bash", calls=61, failures=14, open=1, total_ms=812_000, last_seq=4809),
            ToolTotal(tool="Edit", calls=20, failures=0, open=0, total_ms=41_000, last_seq=4801),
            ToolTotal(tool="Read", calls=7, failures=0, open=0, total_ms=2_100, last_seq=4100),
        ],
        "lanes": [
            Lane(lane="lead", state="running", open_tool="Bash", last_seq=4812, tool_calls=80,
                 tool_failures=12, usage=None),
            Lane(lane="explore", parent_seq=120, state="done", last_seq=900, tool_calls=8,
                 tool_failures=2, usage=None),
        ],
        "queue_detail": [],
        "state_data": StateData(state=of.state, progress=of.progress),
        "related_ids": RelatedIds(task_id=of.task_id),
    }  # fmt: skip
    return WorkflowDetail(**(facts | more))


def steps_of(log: list[Event], *, other: int = 0) -> list[Step]:
    """The tool calls of a log as steps; `other` picks one that fails."""
    calls = [each for each in log if each.type == "tool_use_start"]
    return [
        Step(
            id=f"tool-{n}", kind="tool", name="Bash" if n % 2 else "Edit", seq=call.seq,
            status="failed" if n % 5 == 3 + other else "succeeded", started_at=call.timestamp,
            duration_ms=1_000 * n + other,
            detail="Bash: pytest -q tests/billing" if n % 2 else "Edit: src/billing.py",
        )
        for n, call in enumerate(calls)
    ]  # fmt: skip


def hello(**more: Any) -> HelloFrame:
    """The socket's first frame."""
    facts: dict[str, Any] = {
        "protocol": 1,
        "protocol_min": 1,
        "revision": 1,
        "store": "9f3c2b1a77e0d415",
        "server_time": at(),
        "heartbeat_s": 5,
        "version": "0.1.0",
        "scope": "admin",
        "limits": {},
        "resumed": False,
    }
    return HelloFrame(**(facts | more))


def snapshot(
    workflows: list[WorkflowSummary] | None = None,
    nodes: list[Node] | None = None,
    **more: Any,
) -> SnapshotFrame:
    """A whole snapshot in one part."""
    facts: dict[str, Any] = {
        "sub": 0,
        "revision": 1,
        "server_time": at(),
        "part": 1,
        "last": True,
        "workflows": workflows if workflows is not None else [],
        "nodes": nodes if nodes is not None else [],
        "stats": stats(),
        "total": len(workflows or []),
    }
    return SnapshotFrame(**(facts | more))


def change(
    upsert: list[WorkflowSummary] | None = None,
    remove: list[str] | None = None,
    nodes: list[Node] | None = None,
    **more: Any,
) -> ChangeFrame:
    """A change frame."""
    facts: dict[str, Any] = {
        "sub": 0,
        "previous": 1,
        "revision": 2,
        "server_time": at(),
        "workflows": WorkflowChanges(
            upsert=upsert or [], remove=[WorkflowKey(type="run", id=each) for each in remove or []]
        ),
        "nodes": NodeChanges(upsert=nodes, remove=[]) if nodes is not None else None,
        "entered": 0,
        "left": 0,
    }
    return ChangeFrame(**(facts | more))


def accounts(*of: Account, remove: list[str] | None = None, **more: Any) -> ChangeFrame:
    """A change of accounts alone."""
    return change(accounts=AccountChanges(upsert=list(of), remove=remove or []), **more)


def run(run_id: str = "run-000000000001", status: str = "queued", **more: Any) -> Run:
    """A run of a task."""
    task_id = more.pop("task_id", "task-000000000001")
    facts: dict[str, Any] = {
        "id": run_id,
        "task_id": task_id,
        "attempt": 1,
        "status": status,
        "origin": "scheduled",
        "controllable": True,
        "agent_type": "command",
        "labels": {},
        "priority": 0,
        "retry_on_lost": False,
        "created_at": at(300),
        "updated_at": at(),
        "first_seq": 0,
        "last_seq": 0,
        "event_count": 0,
        "seq_holes": 0,
        "usage": None,
        "tool_calls": 0,
        "tool_failures": 0,
        "revision": 9,
        "snapshot": Snapshot(
            task_id=task_id, name="x", agent=Agent(type="command"), prompt="", labels={}
        ),
    }
    return Run(**(facts | more))


LOGIN_URL = "https://auth.example/device"


def login(code: str = "WDJB-MJHT", **more: Any) -> WorkflowSummary:
    """A login under way that asks for a code."""
    facts: dict[str, Any] = {
        "type": "auth",
        "name": "openai-codex login: team",
        "agent_type": "openai-codex",
        "node_id": "n3",
        "waiting": waiting(f"code {code}", kind="login"),
        "metadata": {
            "account_id": "openai-codex_team",
            "method": "device_code",
            "operation_id": "op-000000000019",
            "phase": "waiting_device_code",
            "user_code": code,
            "verify_url": LOGIN_URL,
            "expires_at": at(-600),
        },
    }
    return summary("act-000000000019", **(facts | more))


def account(account_id: str = "openai-codex_team", **more: Any) -> Account:
    """An account that nodes hold."""
    facts: dict[str, Any] = {
        "id": account_id,
        "name": account_id.partition("_")[2],
        "agent_type": account_id.partition("_")[0],
        "status": "authenticated",
        "last_used_at": at(300),
        "nodes": ["n1", "n2"],
        "blocked_runs": 0,
        "created_at": at(900_000),
        "updated_at": at(300),
        "revision": 1,
    }
    return Account(**(facts | more))


def fleet_accounts() -> list[Account]:
    """One that is good, one that ends soon, one that was refused, one whose login is under way."""
    return [
        account("claude-code_ops", name="ops@example.com"),
        account("gemini-cli_lab", name="lab@example.com", expires_at=at(-20_000), nodes=["n5"]),
        account(
            "claude-code_me",
            name="me@example.com",
            status="expired",
            last_401_at=at(240),
            blocked_runs=3,
            nodes=["n3"],
        ),
        account("openai-codex_team", name="team@example.com", status="authenticating"),
    ]


def task(task_id: str = "task-000000000001", status: str = "completed", **more: Any) -> Task:
    """A task with one run."""
    facts: dict[str, Any] = {
        "id": task_id,
        "name": "nightly-eval",
        "status": status,
        "type": "claude-code",
        "agent": Agent(type="claude-code"),
        "prompt": Prompt(content="Run the evaluation."),
        "labels": {"team": "web"},
        "priority": 0,
        "retry_on_lost": False,
        "runs": TaskRuns(
            total=1, active=0, last_run_id=RunId("run-000000000001"), last_status="done"
        ),
        "created_at": at(7_200),
        "updated_at": at(600),
        "revision": 3,
    }
    return Task(**(facts | more))


def fleet_tasks() -> list[Task]:
    """Tasks with something of everything, as many as two pages."""
    names = ["fix-auth", "释放说明-翻译", "refactor-billing", "tests", "oops", "bump-deps"]
    statuses = ["in_progress", "in_progress", "completed", "failed", "cancelled", "pending"]
    return [
        task(
            f"task-{n:012d}", statuses[n % 6], name=f"{names[n % 6]}-{n}", created_at=at(60 * n),
            runs=TaskRuns(total=n % 4, active=1 if n % 6 < 2 else 0,
                          last_run_id=RunId(f"run-{n:012d}"), last_status="running"),
            priority=5 if n % 9 == 0 else 0,
        )
        for n in range(260)
    ]  # fmt: skip


def server_info(**more: Any) -> ServerInfo:
    """What the server says of itself, with the thresholds of contract 6.3."""
    facts: dict[str, Any] = {
        "version": "0.1.0",
        "protocol": 1,
        "protocol_min": 1,
        "store": "9f3c2b1a77e0d415",
        "revision": 1,
        "server_time": at(),
        "started_at": at(90_000),
        "auth": ServerAuth(mode="local", scope="admin"),
        "limits": {},
        "health_thresholds": {
            "stalled_s": 300,
            "looping_calls": 4,
            "looping_window": 12,
            "slow_s": 2_700,
            "stuck_queued_s": 600,
            "waiting_long_s": 3_600,
        },
        "lease": LeaseSettings(ttl_s=45, claim_s=30, lost_after_s=86_400, cancel_grace_s=60),
        "retention": {},
        "time_zone": "UTC",
        "features": [],
    }
    return ServerInfo(**(facts | more))


def heartbeat(revision: int = 2) -> HeartbeatFrame:
    """A heartbeat."""
    return HeartbeatFrame(revision=revision, server_time=at())


def fleet_rows() -> list[WorkflowSummary]:
    """A fleet with something of everything."""
    burn = Burn(cost_usd_per_h=6.4, tokens_per_min=9_000, window_s=600, as_of=at())
    return [
        summary("run-8f21a0c4d2e1", name="fix-auth", node_id="n3", age_s=9_000,
                waiting=waiting(since=at(8_040), deadline=at(-2_760)), usage=usage(310_000, 0.92)),
        summary("run-2c7100aa41b0", name="释放说明-翻译", node_id="n2", age_s=2_400,
                waiting=waiting("选择哪个版本号？", kind="question", since=at(420))),
        summary("run-77ab10c00001", name="deploy-docs", agent_type="openai-codex", age_s=1_000,
                waiting=waiting("which bucket?", kind="input", since=at(66), holds_slot=False)),
        summary("run-51aa00c4d2e1", name="refactor-billing", node_id="n2", age_s=2_460,
                health="looping", health_reason="same Bash call 6 of last 12",
                health_since=at(540), usage=usage(1_200_000, 1.92), burn=burn,
                tool_calls=88, tool_failures=14, activity_text="Bash: pytest -q (6×)",
                event_count=4812, last_seq=4812),
        summary("run-90b3ffe01122", name="docs", age_s=1_800, health="stalled",
                health_reason="silent over 5m, no tool in flight", health_since=at(120),
                last_activity_at=at(420), usage=usage(90_000, None)),
        summary("run-44deaa001122", "failed", name="tests", node_id="n2", age_s=900,
                exit_code=137, error_code="exit_nonzero", error="killed by signal 9",
                end_time=at(120), usage=usage(44_000, 0.07), tool_calls=12, tool_failures=1),
        summary("run-6b02aa001122", name="add-metrics", agent_type="openai-codex",
                usage=usage(210_000, 0.31), burn=Burn(cost_usd_per_h=1.5, tokens_per_min=900,
                window_s=600, as_of=at()), tool_calls=22, tool_failures=1),
        summary("run-7c11aa001122", "queued", name="bump-deps", age_s=360,
                queue_reason="n1, n2 full (4/4, 4/4); n3 lacks login for claude-code",
                queue_reason_code="full"),
        summary("run-7c12aa001122", "queued", name="bump-deps-2", age_s=30,
                queue_reason="n1, n2 full (4/4, 4/4)", queue_reason_code="full"),
        summary("run-0e55aa001122", name="nightly-eval", node_id="n6", age_s=6_000,
                state="unknown", attention=3, usage=usage(2_000_000, 7.31)),
        *(
            summary(f"run-{i:04d}bb001122", name=name, node_id=f"n{i % 5 + 1}", age_s=100 + 77 * i,
                    activity_text=text, agent_type=agent,
                    usage=usage(1_000 * i * i + 500, 0.013 * i),
                    tool_calls=i * 3, tool_failures=i % 3)
            for i, (name, text, agent) in enumerate(
                [
                    ("triage-inbox", "Read src/inbox/rules.py", "claude-code"),
                    ("load-test", "req 48,112 ok, 3 errors", "command"),
                    ("多语言-检查", "正在检查 第 12 章 🚀", "qwen-code"),
                    ("migrate-db", "$ alembic upgrade head", "gemini-cli"),
                    ("fix-flaky", "Grep: retry_on_timeout", "claude-code"),
                    ("summarise", "thinking", "openai-codex"),
                ]
            )
        ),
        *(
            summary(f"run-{i:04d}cc001122", "done", name=f"build-{i}", age_s=4_000 + 300 * i,
                    end_time=at(3_900 + 200 * i), exit_code=0, usage=usage(30_000 + i, 0.04))
            for i in range(18)
        ),
        summary("run-3333dd001122", "cancelled", name="oops", age_s=500, end_time=at(450)),
    ]  # fmt: skip


def fleet_nodes() -> list[Node]:
    """Six nodes, one silent, one draining."""
    return [
        node("n1", allocated=4, hostname="build-01"),
        node(
            "n2",
            allocated=4,
            hostname="build-02",
            logins=[
                Login(
                    agent_type="openai-codex",
                    account_id="openai-codex_team",
                    state="ok",
                    expires_at=at(-90_000),
                ),
                Login(agent_type="claude-code", account_id="claude-code_me", state="expired"),
            ],
        ),
        node("n3", agents=[AgentOffer(type="claude-code", ready=False, reason="login missing")]),
        node("n4", "draining", allocated=1),
        node("n5", allocated=0, display_name="大机器-五号"),
        node("n6", "offline", allocated=2),
    ]


def run_events(count: int = 60, first: int = 1) -> list[Event]:
    """A plausible log of a run."""
    kinds: list[tuple[str, Any, str]] = [
        ("message", {"role": "assistant", "content": "I look at the billing tests first."}, "info"),
        ("tool_use_start",
         {"id": "t1", "tool": "Bash", "input": {"command": "pytest -q tests/billing"}}, "info"),
        ("tool_result", {"id": "t1", "success": False, "exit_code": 1, "duration_ms": 12_100,
                         "output": "3 failed\nE   assert 12 == 13\nE   in test_total"}, "error"),
        ("thinking", {"content": "The rounding is off by one cent."}, "info"),
        ("tool_use_start",
         {"id": "t2", "tool": "Edit", "input": {"file_path": "src/billing.py"}}, "info"),
        ("tool_result", {"id": "t2", "success": True, "duration_ms": 40}, "info"),
        ("message", {"role": "assistant", "content": "已修正四舍五入，继续测试 🚀"}, "info"),
        ("command_output", {"stdout": "collected 12 items"}, "info"),
        ("warning", {"code": "slow", "message": "rate limited, waiting 3s"}, "warning"),
    ]  # fmt: skip
    return [
        event(
            seq,
            kinds[seq % len(kinds)][0],
            kinds[seq % len(kinds)][1],
            level=kinds[seq % len(kinds)][2],
        )
        for seq in range(first, first + count)
    ]
