"""Each filter and each order of the monitor's list, over HTTP, on a fleet where they differ; what
a detail and a summary say.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from runwatch_shared.timestamps import format_time
from tests.server.http.house import COMMAND, House, open_house

WORKFLOWS = "/api/v1/monitor/workflows"
USED = {"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 3, "cache_write_tokens": 2}
CLAUDE = {"type": "claude-code"}
Line = tuple[str, dict[str, Any]]


class Fleet:
    """Runs by name; each step is a second after the one before."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ids: dict[str, str] = {}
        self.tasks: dict[str, str] = {}

    async def queued(self, name: str, agent: Any = COMMAND, **labels: str) -> str:
        self.house.clock.advance(1)
        task = await self.house.task(name=name, agent=agent, prompt="do it", labels=labels)
        self.tasks[name] = task["id"]
        run = await self.house.make(f"/api/v1/tasks/{task['id']}/runs")
        self.ids[name] = run["id"]
        return str(run["id"])

    async def held(self, name: str, node: str, *lines: Line, agent: Any = COMMAND) -> str:
        """One that a node claimed and reports of."""
        run_id = await self.queued(name, agent, held="yes")
        house = self.house
        await house.beat(node)
        await house.services.scheduler.cycle()
        claim = {"node_id": node, "process_id": "p1"}
        path = f"/api/v1/runs/{run_id}"
        epoch = (await house.make(f"{path}/claim", claim, who="node"))["lease"]["epoch"]
        for seq, (kind, payload) in enumerate(lines, 1):
            house.clock.advance(1)
            moment = format_time(house.clock.now_us())
            sent = {"seq": seq, "type": kind, "timestamp": moment, "payload": payload}
            await house.make(f"{path}/events", {"epoch": epoch, "events": [sent]}, who="node")
        return run_id

    async def found(self, **query: Any) -> list[str]:
        """Names, in the order of the list; the total must say as many."""
        page = await self.house.get(WORKFLOWS, limit=1000, **query)
        assert page["total"] == len(page["workflows"])
        return [row["name"] for row in page["workflows"]]


def call(number: int) -> list[Line]:
    started = {"id": f"c{number}", "tool": "Bash", "input": {"command": "make"}}
    return [("tool_use_start", started), ("tool_result", {"id": f"c{number}", "success": False})]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with open_house() as house:
        fleet = Fleet(house)
        asked = ("approval_request", {"prompt": "push?"})
        spent = ("message", {"content": "x", "usage": {**USED, "cost_usd": 0.5}})
        more = ("message", {"content": "x", "usage": {**USED, "input_tokens": 99, "cost_usd": 0.1}})
        done = ("run_completed", {"status": "done"})
        await fleet.held("bravo", "n1", *call(1), *call(2), asked)
        await fleet.held("delta", "n1", spent, *[("message", {})] * 3, done)
        await fleet.held("alpha", "n2", more, *call(1), done, agent=CLAUDE)
        loop = [line for number in range(5) for line in call(number)]
        await fleet.held("echo", "n2", *loop, agent=CLAUDE)
        await fleet.queued("charlie", team="red", tier="1")
        cancelled = await fleet.queued("foxtrot", team="blue")
        await house.make(f"/api/v1/runs/{cancelled}/cancel")
        yield fleet


ALL = {"alpha", "bravo", "charlie", "delta", "echo", "foxtrot"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ALL),
        ({"type": "run"}, ALL),
        ({"type": "auth"}, set()),
        ({"state": "waiting"}, {"bravo"}),
        ({"state": "pending"}, {"charlie"}),
        ({"state": "running"}, {"echo"}),
        ({"state": "completed,failed"}, {"alpha", "delta", "foxtrot"}),
        ({"state": "unknown"}, set()),
        ({"status": "running"}, {"bravo", "echo"}),
        ({"status": ["done", "cancelled"]}, {"alpha", "delta", "foxtrot"}),
        ({"status": "success"}, set()),
        ({"node": "n1"}, {"bravo", "delta"}),
        ({"node": "n1,n2"}, {"alpha", "bravo", "delta", "echo"}),
        ({"node": "n1", "state": "completed"}, {"delta"}),
        ({"agent_type": "claude-code"}, {"alpha", "echo"}),
        ({"agent_type": "claude-code", "state": "completed"}, {"alpha"}),
        ({"agent_type": "command", "status": "done"}, {"delta"}),
        ({"label": "team"}, {"charlie", "foxtrot"}),
        ({"label": "team:red"}, {"charlie"}),
        ({"label": ["team:red", "tier"]}, {"charlie"}),
        ({"label": "team:green"}, set()),
        ({"label": "held:yes", "state": "completed"}, {"alpha", "delta"}),
        ({"q": "BRAV"}, {"bravo"}),
        ({"health": "looping"}, {"echo"}),
        ({"health": "stalled"}, set()),
        ({"health": "ok,looping"}, ALL),
        ({"waiting": "true"}, {"bravo"}),
        ({"waiting": "false"}, ALL - {"bravo"}),
        ({"active": "true"}, {"bravo", "charlie", "echo"}),
        ({"active": "false"}, {"alpha", "delta", "foxtrot"}),
        ({"active": "true", "node": "n2"}, {"echo"}),
    ],
)
async def test_a_filter_admits_what_it_names(
    fleet: Fleet, query: dict[str, Any], names: set[str]
) -> None:
    assert set(await fleet.found(**query)) == names


async def test_one_task_and_a_stretch_of_time_are_filters(fleet: Fleet) -> None:
    assert await fleet.found(task=fleet.tasks["delta"]) == ["delta"]
    assert await fleet.found(task="task-000000000000") == []
    rows = (await fleet.house.get(WORKFLOWS, sort="update_time"))["workflows"]
    middle = rows[2]["update_time"]
    assert await fleet.found(until=middle, sort="update_time") == [r["name"] for r in rows[:3]]
    assert await fleet.found(since=middle, sort="update_time") == [r["name"] for r in rows[2:]]
    assert await fleet.found(since=middle, until=middle) == [rows[2]["name"]]
    fleet.house.clock.advance(3600)
    assert await fleet.found(since="30m") == []


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]),
        ("start_time", ["bravo", "delta", "alpha", "echo", "charlie", "foxtrot"]),
        ("update_time", ["bravo", "delta", "alpha", "echo", "charlie", "foxtrot"]),
        ("-attention", ["bravo", "echo", "charlie", "foxtrot", "alpha", "delta"]),
    ],
)
async def test_an_order_is_that_of_its_value(fleet: Fleet, sort: str, names: list[str]) -> None:
    assert await fleet.found(sort=sort) == names
    way_round = sort.removeprefix("-") if sort.startswith("-") else f"-{sort}"
    assert await fleet.found(sort=way_round) == names[::-1]


@pytest.mark.parametrize(
    ("sort", "names", "last"),
    [
        ("duration_ms", ["alpha", "delta"], ALL - {"alpha", "delta"}),
        ("cost_usd", ["alpha", "delta"], ALL - {"alpha", "delta"}),
        ("total_tokens", ["delta", "alpha"], ALL - {"alpha", "delta"}),
    ],
)
async def test_rows_without_the_value_come_last_either_way_round(
    fleet: Fleet, sort: str, names: list[str], last: set[str]
) -> None:
    found = await fleet.found(sort=sort)
    assert (found[:2], set(found[2:])) == (names, last)
    found = await fleet.found(sort=f"-{sort}")
    assert (found[:2], set(found[2:])) == (names[::-1], last)


async def test_tool_failures_are_an_order(fleet: Fleet) -> None:
    assert (await fleet.found(sort="-tool_failures"))[:3] == ["echo", "bravo", "alpha"]


async def test_a_place_behind_attention_needs_its_time(fleet: Fleet) -> None:
    page = await fleet.house.get(WORKFLOWS, sort="-attention", limit=4)
    more = await fleet.house.get(WORKFLOWS, sort="-attention", limit=4, cursor=page["next_cursor"])
    assert [row["name"] for row in more["workflows"]] == ["alpha", "delta"]
    assert more["next_cursor"] is None


async def test_a_detail_says_what_the_run_did(fleet: Fleet) -> None:
    house = fleet.house
    path = f"{WORKFLOWS}/run/{fleet.ids['alpha']}"
    retry = await house.make(f"/api/v1/runs/{fleet.ids['alpha']}/retry")
    shown = await house.get(path)
    assert (shown["state"], shown["progress"], shown["attention"]) == ("completed", 100, 0)
    assert (shown["tool_calls"], shown["tool_failures"], shown["open_tools"]) == (1, 1, 0)
    assert shown["usage"] | {"as_of": ""} == {
        **USED,
        "input_tokens": 99,
        "total_tokens": 109,
        "cost_usd": 0.1,
        "cost_source": "agent",
        "partial": False,
        "as_of": "",
    }
    assert [(step["name"], step["status"]) for step in shown["steps"]] == [
        ("queued", "succeeded"),
        ("assigned", "succeeded"),
        ("running", "succeeded"),
        ("Bash", "failed"),
    ]
    assert shown["steps_total"] == 4
    bash = shown["steps"][3]
    assert (bash["kind"], bash["duration_ms"], bash["seq"], bash["end_seq"]) == ("tool", 1000, 2, 3)
    assert shown["tools"] == [
        {"tool": "Bash", "calls": 1, "failures": 1, "open": 0, "total_ms": 1000, "last_seq": 3}
    ]
    assert [lane["lane"] for lane in shown["lanes"]] == ["lead"]
    assert shown["lanes"][0]["state"] == "ended"
    assert [event["seq"] for event in shown["events"]] == [1, 2, 3, 4]
    assert shown["events_truncated"] is False
    assert shown["state_data"] == {"state": "completed", "progress": 100}
    assert shown["related_ids"] == {"task_id": fleet.tasks["alpha"], "retry_ids": [retry["id"]]}
    assert shown["metadata"] == {"task_id": fleet.tasks["alpha"]}
    assert shown["queue_detail"] == []
    again = await house.get(f"{WORKFLOWS}/run/{retry['id']}")
    assert again["related_ids"]["parent_id"] == fleet.ids["alpha"]
    assert {part["node_id"] for part in again["queue_detail"]} == {"n1", "n2"}


async def test_a_waiting_run_says_what_it_waits_for(fleet: Fleet) -> None:
    shown = await fleet.house.get(f"{WORKFLOWS}/run/{fleet.ids['bravo']}")
    waiting = shown["waiting"]
    assert (waiting["kind"], waiting["prompt"], waiting["open"]) == ("approval", "push?", 1)
    assert (waiting["seq"], waiting["holds_slot"]) == (5, True)
    assert (shown["state"], shown["attention"]) == ("waiting", 4)
    assert shown["lanes"][0]["state"] == "waiting"
    assert shown["state_data"]["current_step"] == "running"


async def test_steps_are_asked_for_on_one_side(fleet: Fleet) -> None:
    path = f"{WORKFLOWS}/run/{fleet.ids['echo']}/steps"
    answer = await fleet.house.send("GET", f"{path}?after_seq=1&before_seq=5")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


async def test_stats_and_history_count_the_fleet(fleet: Fleet) -> None:
    stats = await fleet.house.get("/api/v1/monitor/stats")
    assert stats["workflows_by_state"] == {
        "pending": 1,
        "running": 1,
        "waiting": 1,
        "completed": 2,
        "failed": 1,
        "unknown": 0,
    }
    assert (stats["active_workflows"], stats["completed_today"]) == (3, 2)
    assert (stats["cancelled_today"], stats["failed_today"]) == (1, 0)
    assert stats["health"]["looping"] == 1
    assert stats["waiting"]["held_slots"] == 1
    assert (stats["total_nodes"], stats["online_nodes"]) == (2, 2)
    assert stats["usage"]["total"]["total_tokens"] == 20 + 109
    assert stats["queue_wait_ms"]["samples"] == 4
    fleet.house.clock.advance(60)
    history = await fleet.house.get("/api/v1/monitor/stats/history", minutes=2)
    series = history["series"]
    assert {len(values) for values in series.values()} == {2}
    assert sum(value or 0 for value in series["completed"]) == 2
    assert sum(value or 0 for value in series["tokens"]) == 129
    assert sum(value or 0 for value in series["events"]) == stats["total_events"]
    for minutes in ("0", "1441"):
        answer = await fleet.house.send("GET", f"/api/v1/monitor/stats/history?minutes={minutes}")
        assert answer.status_code == 400
