"""Lists: pages that neither repeat nor skip, filters, totals (contract 1.4, 6.1 and 8.1)."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwatch_server import retention
from runwatch_server.api.cursors import read_cursor, write_cursor
from runwatch_server.first_start import write_now
from runwatch_server.lifespan import write_levels
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import RunId
from runwatch_shared.settings import Limits
from runwatch_shared.wire import WORKFLOW_SORTS
from tests.server.http.house import House, event, open_house

WORKFLOWS = "/api/v1/monitor/workflows"


async def pages(house: House, path: str, key: str, **query: Any) -> list[Any]:
    """All rows of a list, page by page."""
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(50):
        page = await house.get(path, **query, **cursor)
        rows += page[key]
        if page["next_cursor"] is None:
            return rows
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("a list without an end")


@pytest.mark.parametrize("sort", [name for each in WORKFLOW_SORTS for name in (each, f"-{each}")])
async def test_pages_hold_every_workflow_once_in_order(house: House, sort: str) -> None:
    for number in range(5):
        run = await house.run(name=f"n{number % 2}", labels={"n": str(number)})
        house.clock.advance(1)
        if number < 3:
            await house.make(f"/api/v1/runs/{run['id']}/cancel")
    whole = await pages(house, WORKFLOWS, "workflows", sort=sort, limit=1000)
    assert len(whole) == 5
    for limit in (1, 2, 3):
        parts = await pages(house, WORKFLOWS, "workflows", sort=sort, limit=limit)
        assert [row["id"] for row in parts] == [row["id"] for row in whole]


async def test_filters_of_workflows_hold_together(house: House) -> None:
    one = await house.run(name="alpha", labels={"team": "red", "tier": "1"})
    two = await house.run(name="beta", labels={"team": "blue"})
    await house.make(f"/api/v1/runs/{two['id']}/cancel")

    async def found(**query: Any) -> set[str]:
        return {row["id"] for row in (await house.get(WORKFLOWS, **query))["workflows"]}

    assert await found() == {one["id"], two["id"]}
    assert await found(type="auth") == set()
    assert await found(type="auth,run") == {one["id"], two["id"]}
    assert await found(state="pending") == {one["id"]}
    assert await found(state="failed,completed") == {two["id"]}
    assert await found(status=["cancelled", "queued"]) == {one["id"], two["id"]}
    assert await found(active="true") == {one["id"]}
    assert await found(label="team:red") == {one["id"]}
    assert await found(label=["team", "tier:1"]) == {one["id"]}
    assert await found(label=["team:red", "tier:2"]) == set()
    assert await found(q="ALPH") == {one["id"]}
    assert await found(q=two["id"]) == {two["id"]}
    assert await found(task=one["task_id"]) == {one["id"]}
    assert await found(agent_type="command,claude-code") == {one["id"], two["id"]}
    assert await found(node="nowhere") == set()
    assert await found(waiting="false", health="ok") == {one["id"], two["id"]}
    house.clock.advance(3600)
    assert await found(since="30m") == set()
    assert await found(until="30m") == {one["id"], two["id"]}


async def test_a_cursor_belongs_to_its_filter_and_order(house: House) -> None:
    for _ in range(3):
        await house.run()
    page = await house.get(WORKFLOWS, limit=1, state="pending")
    cursor = page["next_cursor"]
    assert (await house.get(WORKFLOWS, limit=2, state="pending", cursor=cursor))["workflows"]
    for query in ("state=running", "sort=name", ""):
        answer = await house.send("GET", f"{WORKFLOWS}?limit=1&cursor={cursor}&{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@given(text=st.text(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_but_a_cursor_is_read_as_one(text: str) -> None:
    with pytest.raises(RefusedError):
        read_cursor(["filter"], text)


@given(
    value=st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    row_id=st.text(max_size=128),
)
def test_a_cursor_gives_back_its_place(value: Any, row_id: str) -> None:
    text = write_cursor([("q", ["a"])], (value, row_id))
    if len(text) <= 1024:
        assert read_cursor([("q", ["a"])], text) == (value, row_id)


async def test_limits_of_pages_are_clamped_and_totals_are_exact_up_to_their_bound() -> None:
    async with open_house(
        limits=Limits(page_rows=3, exact_total_rows=4, writes_burst=1000)
    ) as house:
        for _ in range(5):
            await house.run()
        assert len((await house.get(WORKFLOWS, limit=0))["workflows"]) == 1
        page = await house.get(WORKFLOWS, limit=5000)
        assert (len(page["workflows"]), page["limit"]) == (3, 3)
        assert (page["total"], page["total_exact"]) == (4, False)
        assert (await house.get(WORKFLOWS, state="failed"))["total_exact"] is True
        tasks = await house.get("/api/v1/tasks", limit=2)
        assert (tasks["count"], tasks["total"], tasks["has_more"]) == (2, 4, True)
        page = await house.get(WORKFLOWS, offset=4)
        assert len(page["workflows"]) == 1


async def test_tasks_are_listed_newest_first_by_page_and_by_name(house: House) -> None:
    made = []
    for number in range(5):
        made.append((await house.task(name=f"task {number}", labels={"n": str(number)}))["id"])
        house.clock.advance(1)
    rows = await pages(house, "/api/v1/tasks", "tasks", limit=2)
    assert [row["id"] for row in rows] == made[::-1]
    for query in ({"q": "TASK 3"}, {"search": "task 3"}, {"label": "n:3"}):
        assert [row["id"] for row in (await house.get("/api/v1/tasks", **query))["tasks"]] == [
            made[3]
        ]


async def test_children_and_descendants_of_a_task(house: House) -> None:
    parent = await house.task()
    child = await house.task(parent_id=parent["id"])
    grandchild = await house.task(parent_id=child["id"])
    path = f"/api/v1/tasks/{parent['id']}"
    assert [row["id"] for row in (await house.get(f"{path}/subtasks"))["tasks"]] == [child["id"]]
    tree = await house.get(f"{path}/tree")
    assert [row["id"] for row in tree["tasks"]] == [child["id"], grandchild["id"]]


async def test_runs_of_a_task_are_listed_newest_first(house: House) -> None:
    task = await house.task()
    path = f"/api/v1/tasks/{task['id']}/runs"
    made = []
    for _ in range(3):
        made.append((await house.make(path))["id"])
        house.clock.advance(1)
    assert [row["id"] for row in await pages(house, path, "runs", limit=1)] == made[::-1]


async def test_nodes_are_listed_by_page_and_filter(house: House) -> None:
    for number in range(3):
        await house.beat(f"n{number}", labels={"gpu": "yes" if number else "no"})
    rows = await pages(house, "/api/v1/nodes", "nodes", limit=1)
    assert [row["id"] for row in rows] == ["n0", "n1", "n2"]
    rows = (await house.get("/api/v1/nodes", label="gpu:yes", status="online", q="N1"))["nodes"]
    assert [row["id"] for row in rows] == ["n1"]


async def test_events_are_read_up_down_and_from_the_end(house: House) -> None:
    run_id, epoch = await house.held_run()
    path = f"/api/v1/runs/{run_id}/events"
    events = [{**event(seq, content=f"line {seq}"), "raw": "own line"} for seq in range(1, 11)]
    await house.make(path, {"epoch": epoch, "events": events}, who="node")

    async def seqs(**query: Any) -> list[int]:
        return [each["seq"] for each in (await house.get(path, **query))["events"]]

    assert await seqs(limit=3) == [1, 2, 3]
    assert await seqs(after_seq=8) == await seqs(from_seq=8) == [9, 10]
    assert await seqs(before_seq=4) == [1, 2, 3]
    assert await seqs(tail="true", limit=2) == [9, 10]
    page = await house.get(path, limit=4)
    assert (page["next_from_seq"], page["last_seq"], page["count"]) == (4, 10, 4)
    assert (await house.get(path, after_seq=9))["next_from_seq"] is None
    assert "raw" not in page["events"][0]
    assert (await house.get(path, include="raw"))["events"][0]["raw"] == "own line"
    answer = await house.send("GET", f"{path}?after_seq=1&tail=true")
    assert answer.status_code == 400


async def test_the_monitors_events_say_what_lies_around_them(house: House) -> None:
    run_id, epoch = await house.held_run()
    events = [event(seq, content=f"line {seq}") for seq in range(1, 11)]
    body = {"epoch": epoch, "events": [*events, event(11, "warning", code="w", message="careful")]}
    await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")
    path = f"{WORKFLOWS}/run/{run_id}/events"

    async def around(**query: Any) -> tuple[list[int], bool, bool]:
        page = await house.get(path, **query)
        assert page["total"] == 11
        return [each["seq"] for each in page["events"]], page["has_before"], page["has_after"]

    assert await around(limit=2) == ([1, 2], False, True)
    assert await around(after_seq=9) == ([10, 11], True, False)
    assert await around(before_seq=3) == ([1, 2], False, True)
    assert await around(before_seq=6, limit=2) == ([4, 5], True, True)
    assert await around(tail="true", limit=2) == ([10, 11], True, False)
    assert await around(level="warning") == ([11], False, False)
    assert await around(type="message", q="LINE 7") == ([7], False, False)
    first = (await house.get(path, limit=1))["events"][0]
    assert first["id"] == f"{run_id}:1"
    assert first["data"] == first["payload"] == {"content": "line 1"}
    assert first["producer_id"] == "node-1"


async def test_the_levels_of_minutes_that_are_over_are_stored(house: House) -> None:
    await house.run()
    house.clock.advance(60)
    await write_levels(house.services, house.clock.now_us())
    await write_levels(house.services, house.clock.now_us())
    with house.store.read() as tx:
        stored = {name: value for _, _, name, value in tx.counters() if name.startswith("level:")}
    assert (stored["level:queued"], stored["level:recorded"]) == (1, 1)


async def test_after_what_retention_took_altogether_there_is_nothing_more(house: House) -> None:
    run_id, epoch = await house.held_run()
    events = [event(seq) for seq in range(1, 6)]
    await house.make(
        f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": events}, who="node"
    )

    def remove(tx: WriteTx) -> None:
        row = tx.runs.get(RunId(run_id))
        assert row is not None
        retention.remove_events(tx, row, limit=5)

    path = f"{WORKFLOWS}/run/{run_id}/events"
    assert (await house.get(path, before_seq=3))["has_after"] is True
    write_now(house.store, house.clock, remove)
    page = await house.get(path, before_seq=3)
    assert (page["events"], page["has_before"], page["has_after"]) == ([], False, False)
    assert page["gap"] == {"from_seq": 1, "to_seq": 5, "reason": "expired"}


@pytest.mark.parametrize("number", [2**48, 2**53, 2**63 - 1, 2**63, 2**70, -(2**63), 1e308])
async def test_a_number_without_measure_in_a_payload_harms_no_run(
    house: House, number: float
) -> None:
    run_id, epoch = await house.held_run()
    used = dict.fromkeys(("input_tokens", "output_tokens", "cost_usd"), number)
    late = {"timestamp": "9999-12-31T23:59:59Z"}
    events = [
        event(1, "tool_use_start", id="a", tool="Bash", input=number),
        event(2, "tool_result", id="a", duration_ms=number, exit_code=number),
        event(3, "tool_use_start", id="b", tool="Bash") | late,
        event(4, "tool_result", id="b", duration_ms=86_400_000) | late,
        event(5, "message", content="x", usage={"scope": "turn", **used}),
        event(6, "message", content="x", usage={"scope": "turn", **used}),
        event(7, "result", usage=used),
        event(8, "run_completed", status="failed", exit_code=number, duration_ms=number),
    ]
    body = {"epoch": epoch, "events": events}
    await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")
    detail = await house.get(f"{WORKFLOWS}/run/{run_id}")
    assert (detail["state"], detail["event_count"]) == ("failed", 8)
    assert (
        len((await house.get(f"{WORKFLOWS}/run/{run_id}/steps"))["steps"]) == detail["steps_total"]
    )
    assert (await house.get("/api/v1/monitor/stats"))["failed_today"] == 1


async def test_steps_are_paged_by_the_number_of_their_event(house: House) -> None:
    run_id, epoch = await house.held_run()
    events = []
    for call in range(5):
        begun, ended = 2 * call + 1, 2 * call + 2
        events.append(event(begun, "tool_use_start", id=f"c{call}", tool="Bash", input={"n": call}))
        events.append(event(ended, "tool_result", id=f"c{call}", success=True))
    body = {"epoch": epoch, "events": events}
    await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")
    path = f"{WORKFLOWS}/run/{run_id}/steps"

    async def tools(**query: Any) -> list[int]:
        found = (await house.get(path, **query))["steps"]
        return [step["seq"] for step in found if step["kind"] == "tool"]

    assert await tools() == [1, 3, 5, 7, 9]
    assert await tools(after_seq=3) == [5, 7, 9]
    assert await tools(after_seq=4, limit=1) == [5]
    assert await tools(before_seq=5) == [1, 3]
    assert await tools(before_seq=1) == []
    assert (await house.get(path))["total"] == 5 + 3
