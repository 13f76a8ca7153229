"""Logins in the monitor: rows among runs, phases as events and steps, numbers, what is logged."""

import logging
import random
from typing import Any

import pytest

from runwatch_server import workflow_lists, workflows
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.rows import RunRow, UsageRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Query
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.server.logins.desk import OPERATIONS, URL, Desk, open_desk, until
from tests.storage.making import NOW_US, RULES, a_run, a_spec, an_action, write

WORKFLOWS = "/api/v1/monitor/workflows"


async def rows(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    found = await desk.house.get(WORKFLOWS, who="viewer", **query)
    assert found["total"] >= len(found["workflows"])
    return list(found["workflows"])


async def test_a_waiting_login_is_a_row_that_says_what_to_do(desk: Desk) -> None:
    made = await desk.waiting()
    (row,) = await rows(desk, type="auth")
    assert row["id"] == made["action_id"]
    assert row["type"] == "auth"
    assert row["name"] == "claude-code login: ada"
    assert (row["state"], row["status"], row["progress"]) == ("waiting", "waiting", 75)
    assert (row["attention"], row["health"], row["labels"]) == (4, "ok", {})
    assert (row["node_id"], row["account_id"]) == ("node-1", "claude-code_ada")
    waiting = row["waiting"]
    assert waiting["kind"] == "login"
    assert waiting["prompt"] == f"Open {URL}, answer: Paste code here"
    assert waiting["deadline"] == "2026-11-23T10:46:22.000000Z"
    assert (waiting["open"], waiting["holds_slot"]) == (1, False)
    assert row["metadata"] == {
        "account_id": "claude-code_ada",
        "method": "oauth",
        "operation_id": made["operation_id"],
        "action_id": made["action_id"],
        "phase": "waiting_oauth",
        "message": "",
        "verify_url": URL,
        "input_prompt": "Paste code here",
        "expires_at": "2026-11-23T10:46:22.000000Z",
    }
    assert all(isinstance(value, str) for value in row["metadata"].values())


async def test_a_login_has_a_step_and_an_event_for_each_phase(desk: Desk) -> None:
    made = await desk.waiting()
    desk.house.clock.advance(5)
    await desk.tell(made["action_id"], "running", phase="verifying_credentials", message="m")
    desk.house.clock.advance(2)
    await desk.tell(made["action_id"], "success", phase="finalizing")
    detail = await desk.house.get(f"{WORKFLOWS}/auth/{made['action_id']}")
    assert await desk.house.get(f"{WORKFLOWS}/auth/{made['operation_id']}") == detail
    assert [(step["name"], step["status"]) for step in detail["steps"]] == [
        ("assigned", "succeeded"),
        ("launching_container", "succeeded"),
        ("waiting_oauth", "succeeded"),
        ("verifying_credentials", "succeeded"),
        ("finalizing", "succeeded"),
    ]
    assert detail["steps"][3]["duration_ms"] == 2000
    assert detail["state_data"] == {"state": "completed", "progress": 100}
    assert detail["related_ids"] == {"account_id": "claude-code_ada"}
    assert detail["steps_total"] == 5
    events = detail["events"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert events[0]["producer_id"] == "server"
    assert events[2] == {
        "id": f"{made['action_id']}:3",
        "run_id": made["action_id"],
        "action_id": made["action_id"],
        "seq": 3,
        "epoch": 1,
        "type": "waiting_oauth",
        "timestamp": "2026-11-23T10:31:22.000000Z",
        "received_at": "2026-11-23T10:31:22.000000Z",
        "level": "warning",
        "payload": {"status": "waiting"},
        "data": {"status": "waiting"},
        "producer_id": "node-1",
    }
    path = f"{WORKFLOWS}/auth/{made['action_id']}"
    page = await desk.house.get(f"{path}/events", after_seq=1, limit=2)
    assert [event["seq"] for event in page["events"]] == [2, 3]
    assert (page["has_before"], page["has_after"], page["total"]) == (True, True, 5)
    page = await desk.house.get(f"{path}/events", tail="true", limit=2)
    assert [event["seq"] for event in page["events"]] == [4, 5]
    page = await desk.house.get(f"{path}/events", type="waiting_oauth,finalizing")
    assert [event["seq"] for event in page["events"]] == [3, 5]
    page = await desk.house.get(f"{path}/events", level="success")
    assert [event["seq"] for event in page["events"]] == [5]
    found = await desk.house.get(f"{path}/steps", after_seq=2, limit=2)
    assert [step["name"] for step in found["steps"]] == ["waiting_oauth", "verifying_credentials"]
    assert found["total"] == 5
    answer = await desk.house.send("GET", f"{WORKFLOWS}/auth/act-000000000000")
    assert answer.json()["details"] == {"kind": "workflow"}


async def test_a_cancelled_login_says_who_did_it(quick_desk: Desk) -> None:
    made = await quick_desk.waiting()
    await quick_desk.house.make(f"{OPERATIONS}/{made['operation_id']}/cancel", who="operator")
    detail = await quick_desk.house.get(f"{WORKFLOWS}/auth/{made['action_id']}")
    assert (detail["state"], detail["status"]) == ("failed", "cancelled")
    assert detail["status_source"]["kind"] == "user"
    assert detail["status_source"]["note"] == "operator"
    assert detail["steps"][-1]["name"] == "cancelled"
    assert detail["steps"][-1]["status"] == "cancelled"
    assert "waiting" not in detail
    assert "verify_url" not in detail["metadata"]


async def test_a_node_that_tells_too_much_loses_its_first_phases(quick_desk: Desk) -> None:
    made = await quick_desk.begin()
    for number in range(120):
        await quick_desk.tell(made["action_id"], "running", message=f"line {number}")
    path = f"{WORKFLOWS}/auth/{made['action_id']}"
    detail = await quick_desk.house.get(path)
    assert (len(detail["events"]), detail["events_truncated"]) == (100, True)
    assert (detail["event_count"], detail["last_seq"]) == (121, 121)
    page = await quick_desk.house.get(f"{path}/events", limit=1)
    assert page["gap"] == {"from_seq": 1, "to_seq": 21, "reason": "expired"}
    assert page["events"][0]["seq"] == page["first_seq"] == 22


async def test_progress_alone_is_no_event(quick_desk: Desk) -> None:
    made = await quick_desk.begin()
    for number in range(3):
        await quick_desk.tell(made["action_id"], "running", progress=number)
    detail = await quick_desk.house.get(f"{WORKFLOWS}/auth/{made['action_id']}")
    assert (detail["progress"], detail["event_count"]) == (2, 2)


async def test_filters_and_types_choose_among_both(desk: Desk) -> None:
    await desk.waiting()
    run = await desk.house.run(labels={"team": "a"})
    made = await desk.begin("bob")
    await desk.tell(made["action_id"], "failed")

    async def types(**query: Any) -> list[str]:
        return sorted(row["type"] for row in await rows(desk, **query))

    assert await types() == ["auth", "auth", "run"]
    assert await types(type="run") == ["run"]
    assert await types(type="auth", active="true") == ["auth"]
    assert await types(waiting="true") == ["auth"]
    assert await types(state="failed") == ["auth"]
    assert await types(status="waiting,queued") == ["auth", "run"]
    assert await types(label="team:a") == ["run"]
    assert await types(task=run["task_id"]) == ["run"]
    assert await types(q="login: BOB") == ["auth"]
    assert await types(q="claude-code_ada") == ["auth"]
    assert await types(node="node-1") == ["auth", "auth"]
    assert await types(agent_type="command") == ["run"]
    assert await types(health="stalled") == []


async def test_numbers_count_logins_too(desk: Desk) -> None:
    await desk.waiting()
    done = await desk.begin("bob")
    await desk.tell(done["action_id"], "success")
    timed_out = await desk.begin("eve")
    desk.house.clock.advance(60)
    await desk.tell(timed_out["action_id"], "failed")
    await desk.house.run()
    stats = await desk.house.get("/api/v1/monitor/stats")
    assert stats["workflows_by_type"] == {"auth": 3, "run": 1}
    assert stats["total_workflows"] == 4
    assert stats["workflows_by_state"]["waiting"] == 1
    assert stats["workflows_by_state"]["failed"] == 1
    assert stats["active_workflows"] == 2
    assert (stats["completed_today"], stats["failed_today"]) == (1, 1)
    assert stats["waiting"]["count"] == 1
    assert stats["waiting"]["held_slots"] == 0
    assert stats["total_runs"] == 1
    text = await desk.house.metrics()
    assert 'runwatch_workflows{state="waiting",type="auth"} 1.0' in text
    assert 'runwatch_workflows{state="completed",type="auth"} 1.0' in text
    assert 'runwatch_waiting{kind="login"} 1.0' in text
    assert "claude" not in text.replace('agent_type="claude-code"', "")


async def test_blocked_runs_are_counted_on_the_account(desk: Desk) -> None:
    body = {"name": "ada", "agent_type": "claude-code"}
    await desk.house.make("/api/v1/accounts", body)
    agent = {"type": "claude-code", "account_id": "claude-code_ada"}
    for _ in range(3):
        await desk.house.run(agent=agent, prompt="p")
    services = desk.house.services
    await services.scheduler.cycle()
    await services.blocked.write()
    assert (await desk.account())["blocked_runs"] == 3
    revision = (await desk.account())["revision"]
    await services.blocked.write()
    assert (await desk.account())["revision"] == revision
    await desk.authenticated()
    await services.scheduler.cycle()
    await services.blocked.write()
    assert (await desk.account())["blocked_runs"] == 0


async def test_blocked_runs_are_written_by_themselves() -> None:
    async with open_desk("sqlite:///:memory:", background=True) as desk:
        await desk.house.make("/api/v1/accounts", {"name": "ada", "agent_type": "claude-code"})
        agent = {"type": "claude-code", "account_id": "claude-code_ada"}
        await desk.house.run(agent=agent, prompt="p")
        seen: list[int] = []

        async def blocked() -> bool:
            seen.append((await desk.account())["blocked_runs"])
            return seen[-1] == 1

        for _ in range(2000):
            if await blocked():
                break
        await until(lambda: seen[-1] == 1)


async def test_every_step_of_a_login_is_one_line(
    quick_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = await quick_desk.waiting()
    await quick_desk.tell(made["action_id"], "success")
    told = [record for record in caplog.records if getattr(record, "tag", "") == "operation"]
    facts = [getattr(record, "facts", {}) for record in told]
    moves = [(each.get("from_") or each.get("from"), each.get("to")) for each in facts]
    assert moves == [
        (None, "assigned"),
        ("assigned", "running"),
        ("running", "waiting"),
        ("waiting", "success"),
    ]


def a_mixture(rng: random.Random) -> tuple[list[RunRow], list[ActionRow]]:
    """Runs and logins whose values often meet."""

    def moment() -> int:
        return NOW_US + rng.randrange(4) * 1_000_000

    runs = [
        a_run(
            number,
            name=rng.choice(["claude-code login: ada", "b", "é", "zz"]),
            status=rng.choice(["queued", "running", "done"]),
            created_us=moment(),
            updated_us=moment(),
            started_us=NOW_US,
            finished_us=rng.choice([None, moment() + 5_000_000]),
            node_id=rng.choice([None, "n1"]),
            usage=rng.choice([None, UsageRow(as_of_us=1, input_tokens=rng.randrange(3))]),
        )
        for number in range(rng.randrange(12))
    ]
    logins = [
        an_action(
            number,
            account_name=rng.choice(["ada", "zoe"]),
            status=rng.choice(["assigned", "waiting", "success"]),
            waiting_us=NOW_US,
            created_us=moment(),
            updated_us=moment(),
            started_us=NOW_US,
            finished_us=rng.choice([None, moment() + 5_000_000]),
        )
        for number in range(rng.randrange(8))
    ]
    return runs, logins


@pytest.mark.parametrize("seed", range(12))
def test_pages_of_both_neither_repeat_nor_skip_and_are_in_order(seed: int) -> None:
    rng = random.Random(seed)
    store = open_store("sqlite:///:memory:", rules=RULES, synchronous="full")
    runs, logins = a_mixture(rng)
    try:
        write(store, lambda tx: [tx.runs.insert(row, a_spec()) for row in runs])
        write(store, lambda tx: [tx.kept(ActionRow).save(row) for row in logins])
        with store.read() as tx:
            for sort in WORKFLOW_SORTS:
                for descending in (True, False):
                    query = Query(sort=sort, descending=descending, limit=1000)
                    if rng.random() < 0.3:
                        query = Query(
                            sort=sort, descending=descending, limit=1000, active=True, node=("n1",)
                        )
                    every = workflow_lists.page(tx, query)
                    assert workflow_lists.count(tx, query, at_most=99) == len(every)
                    assert is_ordered(every, sort, descending)
                    size = rng.randrange(1, 5)
                    assert paged(tx, query, size) == every
                    for offset in range(len(every) + 1):
                        part = replaced(query, offset=offset, limit=size)
                        assert workflow_lists.page(tx, part) == every[offset : offset + size]
    finally:
        store.close()


def replaced(query: Query, **fields: Any) -> Query:
    return Query(**{name: getattr(query, name) for name in query.__struct_fields__} | fields)


def paged(tx: Any, query: Query, size: int) -> list[workflows.WorkflowRow]:
    seen: list[workflows.WorkflowRow] = []
    after = None
    while rows := workflow_lists.page(tx, replaced(query, after=after, limit=size)):
        seen += rows
        after = workflows.place_of(rows[-1], query.sort)
    return seen


def is_ordered(rows: list[workflows.WorkflowRow], sort: str, descending: bool) -> bool:
    places = [workflows.place_of(row, sort) for row in rows]
    valued = [place for place in places if place[0] is not None]
    without = [place[-1] for place in places if place[0] is None]
    assert places[: len(valued)] == valued
    return valued == sorted(valued, reverse=descending) and without == sorted(  # type: ignore[type-var]
        without, reverse=descending
    )
