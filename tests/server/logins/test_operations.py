"""Logins over HTTP: begun by people, told by nodes, ended by either or by their time."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from runwatch_server.accounts import sweeping
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.storage.kinds import text_of
from runwatch_server.storage.protocols import ReadTx
from tests.server.http.house import Unchanged
from tests.server.logins.desk import KEY, OPERATIONS, URL, Desk, until
from tests.storage.making import an_action

ADA = {"name": "ada", "agent_type": "claude-code"}


def code_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    problem = answer.json()
    return answer.status_code, problem["code"], problem.get("field")


async def test_a_login_goes_from_its_node_to_a_person_and_makes_an_account(desk: Desk) -> None:
    made = await desk.begin()
    assert made["status"] == "assigned"
    assert made["type"] == "oauth"
    assert made["operation_id"].startswith("op-")
    listed = await desk.list()
    assert [each["id"] for each in listed["actions"]] == [made["action_id"]]
    assert listed["actions"][0]["operation"]["config"] == ADA
    await desk.tell(made["action_id"], "running", phase="initializing", progress=10)
    answer = await desk.tell(
        made["action_id"],
        "waiting",
        phase="waiting_oauth",
        message="Open the page",
        result={"verify_url": URL, "user_code": "ABCD-EFGH", "shell": "bash"},
    )
    assert answer == {
        "id": made["action_id"],
        "status": "waiting",
        "phase": "waiting_oauth",
        "message": "Open the page",
        "cancelled": False,
    }
    action = await desk.action(made["action_id"])
    assert action["progress"] == 10
    assert action["result"] == {"verify_url": URL, "user_code": "ABCD-EFGH", "shell": "bash"}
    assert action["operation"]["status"] == "in_progress"
    await desk.tell(made["action_id"], "success", result={"volume_name": "vol-1"})
    operation = await desk.house.get(f"{OPERATIONS}/{made['operation_id']}")
    assert operation["status"] == "completed"
    assert operation["actions"][0]["result"] == {"shell": "bash", "volume_name": "vol-1"}
    account = await desk.account()
    assert (account["status"], account["nodes"]) == ("authenticated", ["node-1"])
    assert account["volume_name"] == "vol-1"
    assert (await desk.list(status="assigned,running,waiting"))["actions"] == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"type": "smoke"}, "invalid_value", "type"),
        ({"type": "device_code"}, "invalid_value", "type"),
        ({"config": {**ADA, "agent_type": "gemini"}}, "invalid_value", "config.agent_type"),
        ({"config": {**ADA, "agent_type": "command"}}, "invalid_value", "type"),
        ({"config": {**ADA, "name": "a/b"}}, "invalid_field", "config.name"),
        ({"config": {**ADA, "name": ""}}, "invalid_field", "config.name"),
        ({"config": {"name": "ada"}}, "missing_field", "config.agent_type"),
        ({"config": {**ADA, "api_key": "k"}}, "invalid_field", "config.api_key"),
        ({"type": "api_key"}, "missing_field", "config.api_key"),
        ({"type": "api_key", "config": {**ADA, "api_key": "a\nb"}}, "invalid_field", None),
        ({"node_id": "node-9"}, "invalid_field", "node_id"),
        ({"node_id": "/"}, "invalid_field", "node_id"),
    ],
)
async def test_what_nobody_can_do_is_refused(
    quick_desk: Desk, changes: dict[str, object], code: str, field: str | None
) -> None:
    body = {"type": "oauth", "config": ADA, "node_id": "node-1", **changes}
    async with Unchanged(quick_desk.house):
        answer = await quick_desk.house.send("POST", OPERATIONS, who="operator", body=body)
    assert code_of(answer)[:2] == (400, code)
    assert field in {None, code_of(answer)[2]}


async def test_the_same_request_again_begins_no_second_login(desk: Desk) -> None:
    header = {"Idempotency-Key": "k1"}
    first = await desk.begin(method="api_key", **header)
    assert await desk.begin(method="api_key", **header) == first
    other = {"type": "oauth", "config": ADA, "node_id": "node-1"}
    answer = await desk.house.send("POST", OPERATIONS, who="operator", body=other, headers=header)
    assert code_of(answer)[1] == "idempotency_conflict"
    assert len((await desk.house.get(OPERATIONS))["operations"]) == 1


async def test_a_key_is_given_to_its_node_alone_and_erased_at_the_end(desk: Desk) -> None:
    made = await desk.begin(method="api_key")
    seen = [
        await desk.house.get(f"{OPERATIONS}/{made['operation_id']}"),
        await desk.house.get(OPERATIONS),
        await desk.action(made["action_id"]),
    ]
    assert KEY not in str(seen)
    assert seen[0]["config"]["api_key"] == "***"
    (action,) = (await desk.list())["actions"]
    assert action["operation"]["config"]["api_key"] == KEY
    await desk.tell(made["action_id"], "running")
    (action,) = (await desk.list(status="running"))["actions"]
    assert action["operation"]["config"]["api_key"] == KEY
    stored = await desk.house.services.reader.read(dumped)
    assert KEY not in stored
    assert '"api_key":"sealed:' in stored
    await desk.tell(made["action_id"], "success")
    (action,) = (await desk.list(status="success"))["actions"]
    assert action["operation"]["config"]["api_key"] == "***"
    assert '"api_key":"' not in await desk.house.services.reader.read(dumped)


async def test_an_input_is_handed_to_the_node_once_and_then_gone(desk: Desk) -> None:
    made = await desk.waiting()
    path = f"/api/v1/actions/{made['action_id']}/input"
    answer = await desk.house.send("POST", path, who="operator", body={"text": "code#state"})
    assert (answer.status_code, answer.json()) == (202, {})
    assert "code#state" not in await desk.house.services.reader.read(dumped)
    assert "input" not in await desk.action(made["action_id"])
    (action,) = (await desk.list())["actions"]
    assert (action["id"], action["input"]) == (made["action_id"], "code#state")
    (action,) = (await desk.list(status="waiting"))["actions"]
    assert "input" not in action
    assert "sealed" not in await desk.house.services.reader.read(dumped)


async def test_an_input_that_comes_while_a_node_is_answered_is_kept_for_the_next(
    quick_desk: Desk,
) -> None:
    first, second = await quick_desk.waiting(), await quick_desk.waiting(name="bob")
    writer = quick_desk.house.services.writer
    await give(quick_desk, first["action_id"], "1")
    write = writer.write

    async def late(work: Any, **options: Any) -> Any:
        writer.write = write  # type: ignore[method-assign]
        await give(quick_desk, second["action_id"], "2")
        return await write(work, **options)

    writer.write = late  # type: ignore[method-assign]
    handed = [each["input"] for each in (await quick_desk.list())["actions"]]
    handed += [each["input"] for each in (await quick_desk.list())["actions"]]
    assert handed == ["1", "2"]


async def test_an_administrator_who_looks_sees_no_key_and_takes_no_input(quick_desk: Desk) -> None:
    made = await quick_desk.begin("k", method="api_key")
    waiting = await quick_desk.waiting()
    await give(quick_desk, waiting["action_id"], "1")
    seen = await quick_desk.house.get("/api/v1/nodes/node-1/actions", who="admin")
    assert KEY not in str(seen)
    assert all("input" not in each for each in seen["actions"])
    listed = {each["id"]: each for each in (await quick_desk.list())["actions"]}
    assert listed[made["action_id"]]["operation"]["config"]["api_key"] == KEY
    assert listed[waiting["action_id"]]["input"] == "1"


async def give(desk: Desk, action_id: str, text: str) -> None:
    path = f"/api/v1/actions/{action_id}/input"
    answer = await desk.house.send("POST", path, who="operator", body={"text": text})
    assert answer.status_code == 202


async def test_input_is_refused_where_nobody_asked_for_any(quick_desk: Desk) -> None:
    made = await quick_desk.begin()
    path = f"/api/v1/actions/{made['action_id']}/input"

    async def give(text: object) -> httpx.Response:
        body = {"text": text}
        return await quick_desk.house.send("POST", path, who="operator", body=body)

    assert code_of(await give("x"))[:2] == (409, "invalid_transition")
    await quick_desk.tell(made["action_id"], "waiting", phase="waiting_device_code")
    assert code_of(await give("x"))[:2] == (409, "invalid_transition")
    await quick_desk.tell(made["action_id"], "waiting", result={"input_prompt": "Code?"})
    assert (await give("x")).status_code == 202
    for wrong in ("", "a\x1bb", "x" * 4097):
        assert code_of(await give(wrong)) == (400, "invalid_field", "text")
    await quick_desk.tell(made["action_id"], "failed")
    assert code_of(await give("x"))[:2] == (409, "invalid_transition")
    answer = await quick_desk.house.send(
        "POST", "/api/v1/actions/act-000000000000/input", who="operator", body={"text": "x"}
    )
    assert code_of(answer)[:2] == (404, "not_found")


async def test_a_wait_ends_with_an_action_an_input_or_a_cancel(desk: Desk) -> None:
    async with asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(desk.list(wait=20))
        await until(lambda: desk.house.services.action_bells.waiting("node-1") == 1)
        made = await desk.begin()
        assert [each["id"] for each in (await waits)["actions"]] == [made["action_id"]]
        await desk.tell(
            made["action_id"], "waiting", result={"verify_url": URL, "input_prompt": "Code?"}
        )
        waits = tasks.create_task(desk.list(wait=20))
        await until(lambda: desk.house.services.action_bells.waiting("node-1") == 1)
        path = f"/api/v1/actions/{made['action_id']}/input"
        await desk.house.send("POST", path, who="operator", body={"text": "1234"})
        assert [each["input"] for each in (await waits)["actions"]] == ["1234"]
        waits = tasks.create_task(desk.list(wait=20, status="assigned,running,waiting"))
        await until(lambda: desk.house.services.action_bells.waiting("node-1") == 1)
        await desk.house.make(f"{OPERATIONS}/{made['operation_id']}/cancel", who="operator")
        assert (await waits)["actions"] == []
    assert (await desk.tell(made["action_id"], "running"))["cancelled"]


async def test_a_cancel_that_came_between_two_waits_ends_the_next_at_once(quick_desk: Desk) -> None:
    made = await quick_desk.waiting()
    await quick_desk.house.make(f"{OPERATIONS}/{made['operation_id']}/cancel", who="operator")
    assert (await quick_desk.list(wait=30))["actions"] == []


async def test_a_stopping_server_answers_every_wait(quick_desk: Desk) -> None:
    async with asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(quick_desk.list(wait=30))
        bells = quick_desk.house.services.action_bells
        await until(lambda: bells.waiting("node-1") == 1)
        bells.ring_all()
        assert (await waits)["count"] == 0


async def test_a_restarted_node_finds_what_it_had_begun(desk: Desk) -> None:
    made = await desk.waiting()
    listed = await desk.list(status="assigned,running,waiting")
    assert [each["status"] for each in listed["actions"]] == ["waiting"]
    assert listed["actions"][0]["phase"] == "waiting_oauth"
    await desk.tell(made["action_id"], "running", phase="initializing")
    action = await desk.action(made["action_id"])
    assert action["status"] == "running"


async def test_ends_are_final_and_told_again_without_harm(desk: Desk) -> None:
    made = await desk.waiting()
    await desk.tell(made["action_id"], "failed", error="Couldn't log in: denied")
    first = await desk.action(made["action_id"])
    await desk.tell(made["action_id"], "failed", error="another")
    assert await desk.action(made["action_id"]) == first
    assert first["operation"]["status"] == "failed"
    assert "verify_url" not in first.get("result", {})
    answer = await desk.try_tell(made["action_id"], "success")
    assert code_of(answer)[:2] == (409, "already_terminal")
    answer = await desk.house.send("POST", f"{OPERATIONS}/{made['operation_id']}/cancel")
    assert code_of(answer)[:2] == (409, "already_terminal")
    listed = await desk.house.get("/api/v1/accounts")
    assert listed == {"accounts": [], "count": 0}


async def test_nothing_goes_back_to_assigned(quick_desk: Desk) -> None:
    made = await quick_desk.waiting()
    answer = await quick_desk.try_tell(made["action_id"], "assigned")
    assert code_of(answer) == (409, "invalid_transition", "status")
    assert answer.json()["details"]["from"] == "waiting"


@pytest.mark.parametrize(
    "told",
    [
        {"progress": 101},
        {"progress": -1},
        {"phase": "dancing"},
        {"result": {"verify_url": "javascript:alert(1)"}},
        {"result": {"verify_url": "https://a\u202eb"}},
        {"result": {"user_code": 7}},
        {"result": {"user_code": "x" * 65}},
        {"result": {"expires_at": "soon"}},
        {"result": {"deep": {"a": 1}}},
        {"result": {str(number): 1 for number in range(40)}},
    ],
)
async def test_what_a_node_cannot_mean_is_refused(quick_desk: Desk, told: dict[str, Any]) -> None:
    made = await quick_desk.begin()
    answer = await quick_desk.try_tell(made["action_id"], "running", **told)
    assert answer.status_code == 400, answer.text
    assert (await quick_desk.action(made["action_id"]))["status"] == "assigned"


async def test_text_of_a_node_is_made_harmless(quick_desk: Desk) -> None:
    made = await quick_desk.begin()
    await quick_desk.tell(
        made["action_id"],
        "waiting",
        message="a\x1b[31mb\u202e" + "x" * 900,
        result={"input_prompt": "Code\x07?", "note": "n\x00"},
    )
    action = await quick_desk.action(made["action_id"])
    assert action["message"].startswith("abx")
    assert len(action["message"]) == 500
    assert action["result"] == {"input_prompt": "Code?", "note": "n"}


async def test_another_nodes_token_may_neither_see_nor_tell(quick_desk: Desk) -> None:
    await quick_desk.house.beat("node-2")
    made = await quick_desk.begin(node_id="node-2")
    path = f"/api/v1/actions/{made['action_id']}"
    assert code_of(await quick_desk.house.send("GET", path, who="node-1"))[1] == "not_your_node"
    answer = await quick_desk.try_tell(made["action_id"], "running")
    assert code_of(answer)[:2] == (403, "not_your_node")
    answer = await quick_desk.house.send("GET", "/api/v1/nodes/node-2/actions", who="node-1")
    assert code_of(answer)[:2] == (403, "not_your_node")
    answer = await quick_desk.house.send("GET", "/api/v1/nodes/node-2/actions", who="operator")
    assert code_of(answer)[:2] == (403, "forbidden")
    await quick_desk.tell(made["action_id"], "running", who="node")


async def test_a_login_that_nobody_finishes_times_out(desk: Desk) -> None:
    made = await desk.waiting()
    desk.house.clock.advance(899)
    await desk.sweep()
    assert (await desk.action(made["action_id"]))["status"] == "waiting"
    desk.house.clock.advance(1)
    await desk.sweep()
    action = await desk.action(made["action_id"])
    assert (action["status"], action["operation"]["status"]) == ("timeout", "failed")
    assert action["error"] == "nobody finished the login in time"
    answer = await desk.try_tell(made["action_id"], "success")
    assert code_of(answer)[:2] == (409, "already_terminal")


async def test_a_newer_login_of_the_account_on_the_node_ends_the_older(quick_desk: Desk) -> None:
    await quick_desk.house.beat("node-2")
    older = await quick_desk.waiting()
    elsewhere = await quick_desk.begin(node_id="node-2")
    newer = await quick_desk.begin()
    statuses = [
        (await quick_desk.action(made["action_id"]))["status"] for made in (older, elsewhere, newer)
    ]
    assert statuses == ["cancelled", "assigned", "assigned"]


async def test_two_names_of_one_id_do_not_meet(quick_desk: Desk) -> None:
    await quick_desk.begin("a.b")
    config = {"name": "a b", "agent_type": "claude-code"}
    body = {"type": "oauth", "config": config, "node_id": "node-1"}
    answer = await quick_desk.house.send("POST", OPERATIONS, who="operator", body=body)
    assert code_of(answer) == (409, "name_taken", "config.name")


async def test_logins_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    made = []
    for number, method in zip(range(5), itertools.cycle(["oauth", "api_key"]), strict=False):
        desk.house.clock.advance(1)
        made.append(await desk.begin(f"n{number}", method=method))
    await desk.tell(made[0]["action_id"], "failed")
    ids = [each["operation_id"] for each in reversed(made)]
    seen: list[str] = []
    cursor = None
    while True:
        query: dict[str, Any] = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = await desk.house.get(OPERATIONS, **query)
        seen += [each["id"] for each in page["operations"]]
        assert page["count"] == len(page["operations"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids

    async def listed(**query: Any) -> list[str]:
        page = await desk.house.get(OPERATIONS, **query)
        return [each["id"] for each in page["operations"]]

    assert await listed(offset=1, limit=2) == ids[1:3]
    assert await listed(status="failed") == [ids[-1]]
    assert await listed(status="pending", type="api_key") == [ids[1], ids[3]]
    assert await listed(type="api_key", limit=1, offset=1) == [ids[3]]


async def test_ids_of_one_kind_are_none_of_another(quick_desk: Desk) -> None:
    made = await quick_desk.begin()
    for path in (
        f"{OPERATIONS}/{made['action_id']}",
        f"/api/v1/actions/{made['operation_id']}",
        f"{OPERATIONS}/op-000000000000",
        f"{OPERATIONS}/a%2Fb",
    ):
        assert (await quick_desk.house.send("GET", path)).status_code == 404


async def test_a_deleted_nodes_logins_fail_and_its_accounts_have_it_no_more(desk: Desk) -> None:
    await desk.authenticated()
    made = await desk.waiting(name="bob")
    answer = await desk.house.send("DELETE", "/api/v1/nodes/node-1")
    assert answer.status_code == 204
    action = await desk.action(made["action_id"])
    assert (action["status"], action["error"]) == ("failed", "the node was deleted")
    account = await desk.account()
    assert (account["status"], account["nodes"]) == ("pending", [])
    answer = await desk.house.send("GET", "/api/v1/nodes/node-1/actions", who="node-1")
    assert answer.status_code == 404


def dumped(tx: ReadTx) -> str:
    """Everything that is stored of logins."""
    rows = [*tx.kept(ActionRow).find(limit=99), *tx.kept(AccountRow).find(limit=99)]
    return "\n".join(map(text_of, rows))


async def test_of_many_ended_logins_the_oldest_go(quick_desk: Desk) -> None:
    services = quick_desk.house.services
    now_us = quick_desk.house.clock.now_us()
    rows = [
        an_action(number, status="failed", finished_us=now_us, created_us=now_us + number)
        for number in range(sweeping.KEPT_ENDED + 5)
    ]
    await services.writer.write(lambda tx: [tx.kept(ActionRow).save(row) for row in rows])
    open_one = await quick_desk.begin()
    gone = await services.writer.write(lambda tx: sweeping.prune(tx, services.settings, limit=100))
    assert gone == 5
    kept = await services.reader.read(lambda tx: tx.kept(ActionRow).find(limit=999))
    assert [row.id for row in kept if row.is_open] == [open_one["action_id"]]
    assert {row.id for row in rows[5:]} == {row.id for row in kept if not row.is_open}
    quick_desk.house.clock.advance(31 * 86400)
    await services.writer.write(lambda tx: sweeping.prune(tx, services.settings, limit=1000))
    assert await services.reader.read(lambda tx: tx.kept(ActionRow).find(limit=999)) == [
        row for row in kept if row.is_open
    ]
