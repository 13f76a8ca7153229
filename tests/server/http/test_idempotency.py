"""A request with an ``Idempotency-Key`` is done once (contract 1.5)."""

import asyncio
import logging

import pytest

from tests.server.http.house import COMMAND, House, Unchanged, open_house

TASKS = "/api/v1/tasks"
KEY = {"Idempotency-Key": "key-1"}
BODY = {"name": "once", "agent": COMMAND}


async def test_the_same_request_again_gives_the_first_answer_and_changes_nothing(
    house: House,
) -> None:
    first = await house.send("POST", TASKS, body=BODY, headers=KEY)
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    async with Unchanged(house):
        again = await house.send("POST", TASKS, body=BODY, headers=KEY)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"


async def test_another_body_under_a_used_key_conflicts(house: House) -> None:
    await house.send("POST", TASKS, body=BODY, headers=KEY)
    async with Unchanged(house):
        answer = await house.send("POST", TASKS, body={**BODY, "name": "other"}, headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")


async def test_a_key_belongs_to_its_principal_and_its_route(house: House) -> None:
    mine = await house.send("POST", TASKS, body=BODY, headers=KEY)
    other = await house.send("POST", TASKS, who="operator", body=BODY, headers=KEY)
    assert mine.json()["id"] != other.json()["id"]
    runs = {
        (await house.make(f"{TASKS}/{task.json()['id']}/runs", **KEY))["id"]
        for task in (mine, other)
        for _ in range(2)
    }
    assert len(runs) == 2


async def test_a_refused_request_leaves_its_key_unused(house: House) -> None:
    answer = await house.send("POST", TASKS, body={"name": "x"}, headers=KEY)
    assert answer.status_code == 400
    assert (await house.send("POST", TASKS, body=BODY, headers=KEY)).status_code == 201


async def test_of_many_at_once_one_is_done_and_all_are_answered_alike(house: House) -> None:
    task = await house.task()
    path = f"{TASKS}/{task['id']}/runs"
    answers = await asyncio.gather(*(house.send("POST", path, headers=KEY) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    replayed = [answer.headers.get("idempotency-replayed") for answer in answers]
    assert replayed.count("true") == 49
    assert len((await house.get(path))["runs"]) == 1


async def test_a_retry_is_done_once_and_a_key_is_forgotten_after_a_day(house: House) -> None:
    run = await house.run()
    await house.make(f"/api/v1/runs/{run['id']}/cancel")
    path = f"/api/v1/runs/{run['id']}/retry"
    first, again = [await house.make(path, **KEY) for _ in range(2)]
    assert first["id"] == again["id"]
    assert first["parent_id"] == run["id"]
    house.clock.advance(86_401)
    assert (await house.make(path, **KEY))["id"] != first["id"]


async def test_a_key_that_can_be_none_is_refused(house: House) -> None:
    for key in ("", "a b", "x" * 129):
        async with Unchanged(house):
            answer = await house.send("POST", TASKS, body=BODY, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")


async def test_making_runs_is_in_the_log_with_its_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_house() as house:
        task = await house.task()
        path = f"{TASKS}/{task['id']}/runs"
        await house.make(path, **KEY)
        await house.make(path, **KEY)
        await house.send("POST", f"{TASKS}/task-000000000000/runs")
        await house.send("POST", path, body={"priority": 1000})
    tags = [getattr(record, "tag", "") for record in caplog.records]
    created = [tag.removeprefix("run.create.") for tag in tags if tag.startswith("run.create.")]
    assert created == [
        "start",
        "complete",
        "start",
        "replayed",
        "start",
        "task.not_found",
        "start",
        "failed",
    ]
