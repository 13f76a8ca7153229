"""A session that a node reports itself: one run, whoever speaks first, and nothing counts twice."""

from typing import Any

from tests.server.http.house import House, event
from tests.server.otlp.making import SESSION, Body, log, logs, tokens, turn
from tests.server.otlp.stage import NOW, deliver, events, only_run, pass_time, workflows

AT = "2026-11-23T23:20:30Z"
LATER = "2026-11-23T23:39:00Z"


def at(told: dict[str, Any], moment: str = AT) -> dict[str, Any]:
    return {**told, "timestamp": moment}


async def report(house: House, run_id: str, epoch: int, *told: dict[str, Any]) -> None:
    body = {"epoch": epoch, "events": list(told)}
    await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")


async def named_run(house: House, *, session: str = SESSION) -> tuple[str, int]:
    """A run a node holds, of which it has named the agent's session."""
    run_id, epoch = await house.held_run()
    info = event(1, "system_info", session_id=session, agent="Claude Code")
    await report(house, run_id, epoch, at(info))
    return run_id, epoch


async def found_run(house: House, external_id: str = "s1") -> tuple[str, int]:
    """The same for a run that a node found."""
    await house.beat()
    request = {
        "external_id": external_id,
        "name": "found",
        "agent_type": "claude",
        "process_id": "p1",
        "started_at": "2026-11-23T23:20:00Z",
    }
    made = await house.make("/api/v1/nodes/node-1/runs", request, who="node")
    run_id, epoch = made["run"]["id"], made["lease"]["epoch"]
    await report(house, run_id, epoch, at(event(1, "system_info", session_id=SESSION)))
    return run_id, epoch


def usage(**numbers: Any) -> dict[str, Any]:
    return {"scope": "total", "input_tokens": 100, "output_tokens": 200, **numbers}


async def test_a_run_its_node_reports_gets_no_event_and_no_usage_while_it_runs(
    house: House,
) -> None:
    run_id, epoch = await named_run(house)
    await deliver(house, "logs", logs(turn(at_s=40), log("user_prompt", at_s=41)))
    await deliver(house, "metrics", tokens("input", 10, at_s=40))
    run = await only_run(house)
    assert (run["id"], run["last_seq"], run["usage"]) == (run_id, 1, None)
    await report(house, run_id, epoch, at(event(2)))  # its own numbers go on
    assert (await only_run(house))["last_seq"] == 2


async def test_what_it_lacks_at_its_end_telemetry_gives(house: House) -> None:
    run_id, epoch = await named_run(house)
    await deliver(house, "logs", logs(turn(at_s=40), turn(at_s=41)))
    await report(house, run_id, epoch, at(event(2, "run_completed", status="done")))
    await pass_time(house, 61)
    run = await only_run(house)
    assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (20, 40)
    assert (run["usage"]["cost_usd"], run["usage"]["cost_source"]) == (0.01, "agent")
    assert run["last_seq"] == 2
    await pass_time(house, 61)
    assert (await only_run(house))["usage"] == run["usage"]


async def test_a_cost_alone_is_filled_in_and_the_tokens_stay(house: House) -> None:
    run_id, epoch = await named_run(house)
    result = event(2, "result", usage=usage())
    await report(house, run_id, epoch, at(result), at(event(3, "run_completed", status="done")))
    await deliver(house, "logs", logs(turn(at_s=40)))
    run = await only_run(house)
    assert (run["usage"]["input_tokens"], run["usage"]["cost_usd"]) == (100, 0.005)


async def test_what_the_node_told_is_left_alone(house: House) -> None:
    run_id, epoch = await named_run(house)
    result = event(2, "result", usage=usage(cost_usd=3.5))
    await report(house, run_id, epoch, at(result), at(event(3, "run_completed", status="done")))
    await deliver(house, "logs", logs(turn(at_s=40)))
    await pass_time(house, 61)
    run = await only_run(house)
    assert (run["usage"]["total_tokens"], run["usage"]["cost_usd"]) == (300, 3.5)


async def test_a_node_that_names_the_session_later_takes_the_run_over(house: House) -> None:
    run_id, epoch = await house.held_run()
    house.clock.advance(60)
    await deliver(house, "logs", logs(turn(at_s=1201), turn(at_s=1202)))
    assert len(await workflows(house)) == 2
    before = await house.get("/api/v1/monitor/stats")
    assert before["usage"]["today"]["total_tokens"] == 60
    info = event(1, "system_info", session_id=SESSION)
    await report(house, run_id, epoch, at(info), at(event(2, "result", usage=usage())))
    (row,) = await workflows(house)
    assert row["id"] == run_id
    after = await house.get("/api/v1/monitor/stats")
    assert after["usage"]["today"]["total_tokens"] == 300
    assert (after["total_tasks"], after["total_runs"]) == (1, 1)
    await deliver(house, "logs", logs(turn(at_s=1201), turn(at_s=1203)))
    assert (await only_run(house))["usage"]["total_tokens"] == 300


async def test_cost_told_before_the_take_over_is_not_lost(house: House) -> None:
    run_id, epoch = await house.held_run()
    await deliver(house, "logs", logs(turn(at_s=1300)))
    info = event(1, "system_info", session_id=SESSION)
    end = event(3, "run_completed", status="done")
    await report(house, run_id, epoch, at(info), at(event(2, "result", usage=usage())), at(end))
    await pass_time(house, 1)
    usage_now = (await only_run(house))["usage"]
    assert (usage_now["total_tokens"], usage_now["cost_usd"]) == (300, 0.005)


async def test_a_run_that_resumes_a_session_leaves_what_was_before_it(house: House) -> None:
    await deliver(house, "logs", logs(turn(at_s=0)))
    (old,) = await workflows(house)
    house.clock.advance(600)
    run_id, _ = await named_run(house)
    assert {row["id"] for row in await workflows(house)} == {old["id"], run_id}
    await deliver(house, "logs", logs(turn(at_s=1900)))
    rows = {row["id"]: row for row in await workflows(house)}
    assert rows[old["id"]]["usage"]["total_tokens"] == 30
    assert rows[old["id"]]["state"] == "completed"
    assert rows[run_id]["usage"] is None


async def test_a_session_that_was_found_is_one_run_with_all_of_it(house: House) -> None:
    await deliver(house, "logs", logs(turn(at_s=0)))
    await pass_time(house, 901)
    house.clock.set_wall(NOW)
    await deliver(house, "logs", logs(turn(at_s=900)))
    assert len(await workflows(house)) == 2
    run_id, _ = await found_run(house)
    (row,) = await workflows(house)
    assert row["id"] == run_id
    stats = await house.get("/api/v1/monitor/stats")
    assert stats["usage"]["today"]["total_tokens"] == 0
    assert stats["tasks_by_status"]["completed"] == stats["tasks_by_status"]["pending"] == 0
    assert stats["total_tasks"] == 1


async def test_a_session_goes_on_in_a_run_of_its_own_after_its_nodes_run(house: House) -> None:
    run_id, epoch = await named_run(house)
    await report(house, run_id, epoch, at(event(2, "run_completed", status="done")))
    house.clock.advance(300)
    await deliver(house, "logs", logs(turn(at_s=1201)))  # said at its end, and came later
    assert len(await workflows(house)) == 1
    await deliver(house, "logs", logs(turn(at_s=1400)))
    (own,) = [row for row in await workflows(house) if row["id"] != run_id]
    run = await house.get(f"/api/v1/runs/{own['id']}")
    assert (run["parent_id"], run["origin"]) == (run_id, "external")
    assert run["usage"]["total_tokens"] == 30


async def test_a_bound_token_joins_no_run_of_another_node(house: House) -> None:
    await house.beat("node-2")
    run = await house.run(constraints={"node_id": "node-2"})
    await house.services.scheduler.cycle()
    claim = {"node_id": "node-2", "process_id": "p1"}
    held = await house.make(f"/api/v1/runs/{run['id']}/claim", claim, who="node")
    info = at(event(1, "system_info", session_id=SESSION), LATER)
    await report(house, run["id"], held["lease"]["epoch"], info)
    answer = await house.send("POST", "/v1/logs", who="node-1", body=logs(turn()))
    assert answer.status_code == 200
    assert answer.json() == {
        "partialSuccess": {
            "rejectedLogRecords": 1,
            "errorMessage": "1 rejected: another node reports their session",
        }
    }
    assert (await only_run(house))["usage"] is None


async def test_a_script_that_reports_the_session_is_believed_like_a_node(house: House) -> None:
    run = await house.run()
    told: Body = {"events": [at(event(1, "system_info", session_id=SESSION))]}
    await house.make(f"/api/v1/runs/{run['id']}/events", told, who="operator")
    await deliver(house, "logs", logs(turn(at_s=40)))
    assert (await only_run(house))["id"] == run["id"]
    assert [each["seq"] for each in await events(house, run["id"])] == [1]


async def test_a_clock_that_is_behind_leaves_no_second_run(house: House) -> None:
    run_id, epoch = await house.held_run()
    await deliver(house, "logs", logs(turn(at_s=0)))  # by the agent's clock 20 minutes ago
    info = event(1, "system_info", session_id=SESSION)
    await report(house, run_id, epoch, at(info))
    assert [row["id"] for row in await workflows(house)] == [run_id]


async def test_a_clock_that_is_ahead_makes_no_second_run(house: House) -> None:
    run_id, epoch = await named_run(house)
    await report(house, run_id, epoch, at(event(2, "run_completed", status="done")))
    await deliver(house, "logs", logs(turn(at_s=86_400)))
    assert [row["id"] for row in await workflows(house)] == [run_id]


async def test_a_run_made_of_telemetry_is_neither_cancelled_nor_retried(house: House) -> None:
    await deliver(house, "logs", logs(turn()))
    (row,) = await workflows(house)
    answer = await house.send("POST", f"/api/v1/runs/{row['id']}/cancel", who="operator")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_controllable")
    await pass_time(house, 901)
    answer = await house.send("POST", f"/api/v1/runs/{row['id']}/retry", who="operator")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_controllable")


async def test_what_telemetry_tells_after_the_end_is_filled_in_too(house: House) -> None:
    run_id, epoch = await named_run(house)
    await deliver(house, "logs", logs(turn(at_s=20)))
    await report(house, run_id, epoch, at(event(2, "run_completed", status="done")))
    await deliver(house, "logs", logs(turn(at_s=25)))
    await deliver(house, "logs", logs(turn(at_s=28)))  # exporters send in parts
    usage_now = (await only_run(house))["usage"]
    assert (usage_now["total_tokens"], usage_now["cost_usd"]) == (90, 0.015)
