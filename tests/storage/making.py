"""Rows for the store's tests; what a field means to the domain does not matter here."""

from functools import partial
from typing import Any

from runwatch_server import tally
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.rows import (
    EventRow,
    LeaseRow,
    NodeRow,
    RunRow,
    SourceRow,
    SpecRow,
    StepRow,
    TaskRow,
    UsageRow,
    WaitRow,
)
from runwatch_server.storage.protocols import Commit, Outcome, Rules, Store, WriteTx
from runwatch_shared.models import Agent, NodeId, Prompt, RunId, TaskId

DAY_US = 86_400_000_000
NOW_US = 1_790_000_000_000_000
STALLED_US = 300_000_000


def due_us(row: RunRow) -> int | None:
    """Like the real rule in what matters to a store: every event moves it, an end removes it."""
    if row.finished_us is not None:
        return None
    return (row.last_activity_us or row.created_us) + STALLED_US


RULES = Rules(
    tally=partial(tally.of_run, day_start_us=lambda moment: moment - moment % DAY_US),
    due_us=due_us,
)


def run_id(number: int) -> RunId:
    return RunId(f"run-{number:012x}")


def task_id(number: int) -> TaskId:
    return TaskId(f"task-{number:012x}")


def a_run(number: int = 1, **fields: Any) -> RunRow:
    values: dict[str, Any] = {
        "id": run_id(number),
        "task_id": task_id(1),
        "name": f"run {number}",
        "status": "queued",
        "agent_type": "command",
        "created_us": NOW_US + number,
        "updated_us": NOW_US + number,
        "source": SourceRow(kind="user", at_us=NOW_US),
    }
    return RunRow(**(values | fields))


def a_spec(**fields: Any) -> SpecRow:
    values: dict[str, Any] = {
        "task_id": task_id(1),
        "name": "spec",
        "agent": Agent(type="command"),
        "prompt": "do it",
    }
    return SpecRow(**(values | fields))


def an_event(seq: int, content: str = "hello", **fields: Any) -> EventRow:
    values: dict[str, Any] = {
        "seq": seq,
        "epoch": 1,
        "type": "message",
        "at_us": NOW_US + seq,
        "received_us": NOW_US + seq,
        "level": "info",
        "payload": f'{{"content":"{content} {seq}"}}'.encode(),
        "raw": None,
    }
    return EventRow(**(values | fields))


def a_task(number: int = 1, **fields: Any) -> TaskRow:
    values: dict[str, Any] = {
        "id": task_id(number),
        "name": f"task {number}",
        "agent": Agent(type="command"),
        "prompt": Prompt(content="do it"),
        "created_us": NOW_US + number,
        "updated_us": NOW_US + number,
    }
    return TaskRow(**(values | fields))


def a_node(name: str = "n1", **fields: Any) -> NodeRow:
    values: dict[str, Any] = {"id": NodeId(name), "created_us": NOW_US, "updated_us": NOW_US}
    return NodeRow(**(values | fields))


def an_account(name: str = "ada", **fields: Any) -> AccountRow:
    values: dict[str, Any] = {
        "id": f"claude-code_{name}",
        "name": name,
        "agent_type": "claude-code",
        "created_us": NOW_US,
        "updated_us": NOW_US,
    }
    return AccountRow(**(values | fields))


def an_action(number: int = 1, **fields: Any) -> ActionRow:
    values: dict[str, Any] = {
        "id": f"act-{number:012x}",
        "type": "oauth",
        "account_id": "claude-code_ada",
        "account_name": "ada",
        "agent_type": "claude-code",
        "node_id": NodeId("n1"),
        "by": "token:t1",
        "created_us": NOW_US + number,
        "updated_us": NOW_US + number,
        "expires_us": NOW_US + 900_000_000,
        "source": SourceRow(kind="user", at_us=NOW_US),
    }
    return ActionRow(**(values | fields))


def a_lease(run: int = 1, **fields: Any) -> LeaseRow:
    values: dict[str, Any] = {
        "run_id": run_id(run),
        "epoch": 1,
        "node_id": NodeId("n1"),
        "expires_us": NOW_US + 45_000_000,
    }
    return LeaseRow(**(values | fields))


def a_step(n: int, **fields: Any) -> StepRow:
    values: dict[str, Any] = {
        "n": n,
        "name": f"step {n}",
        "status": "open",
        "started_us": NOW_US,
        "seq": n,
    }
    return StepRow(**(values | fields))


def a_wait(seq: int = 1) -> WaitRow:
    return WaitRow(kind="approval", since_us=NOW_US, prompt="may I?", seq=seq)


def used(tokens: int, cost_usd: float | None = None) -> UsageRow:
    return UsageRow(as_of_us=NOW_US, input_tokens=tokens, cost_usd=cost_usd)


def write(store: Store, work: Any, now_us: int = NOW_US) -> Any:
    """One work in a group of its own; what it raised is raised here."""
    return committed(store, work, now_us)[0]


def committed(store: Store, work: Any, now_us: int = NOW_US) -> tuple[Any, Commit | None]:
    """Like `write`, with the commit."""
    (outcome,), commit = store.write_group([work], now_us)
    return value_of(outcome), commit


def value_of(outcome: Outcome) -> Any:
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def insert_runs(store: Store, *rows: RunRow) -> list[RunRow]:
    """Store runs in one commit."""

    def work(tx: WriteTx) -> list[RunRow]:
        return [tx.runs.insert(row, a_spec()) for row in rows]

    return write(store, work)
