"""What a node gives its runs: set by administrators, given with claims, tested by nodes."""

import asyncio
from typing import Any

import pytest

from tests.server.http.house import House

NODE = "/api/v1/nodes/node-1"
PATH = f"{NODE}/env-config"
PASSWORD = "pass-4711/abc"
PROXY: dict[str, Any] = {
    "enabled": True,
    "type": "http",
    "host": "node.corp",
    "port": 3128,
    "username": "ann",
    "password": PASSWORD,
    "no_proxy": ".corp",
}
CONFIG: dict[str, Any] = {
    "proxy": PROXY,
    "env_vars": {"TOKEN": "value-4711"},
    "resources": {"memory_limit": "2g", "cpu_limit": 1.5},
}


async def put(house: House, body: Any) -> Any:
    answer = await house.send("PUT", PATH, body=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def claimed(house: House, **task: Any) -> Any:
    """The answer to the claim of a new run."""
    await house.beat(capacity={"max_concurrent": 100})
    run = await house.run(constraints={"node_id": "node-1"}, **task)
    await house.services.scheduler.cycle()
    body = {"node_id": "node-1", "process_id": "p1"}
    return await house.send("POST", f"/api/v1/runs/{run['id']}/claim", who="node-1", body=body)


async def given(house: House, **task: Any) -> Any:
    answer = await claimed(house, **task)
    assert answer.status_code == 200, answer.text
    return answer.json().get("env_config")


def asking(**parameters: Any) -> dict[str, Any]:
    return {"agent": {"type": "command", "parameters": {"argv": ["true"], **parameters}}}


async def test_it_is_empty_until_it_is_set_and_the_password_is_hidden(house: House) -> None:
    await house.beat()
    assert await house.get(PATH) == {}
    shown = await put(house, CONFIG)
    assert shown == {**CONFIG, "proxy": {**PROXY, "password": "***"}}
    assert await house.get(PATH) == shown
    # What is read can be sent back and loses nothing.
    assert await put(house, shown) == shown
    assert (await given(house))["proxy"]["password"] == PASSWORD
    assert await put(house, {}) == {}
    assert await house.get(PATH) == {}


async def test_heartbeats_neither_carry_nor_overwrite_it(house: House) -> None:
    await house.beat()
    await put(house, CONFIG)
    answer = await house.beat()
    assert "env_config" not in str(answer)
    assert PASSWORD not in str(await house.get(NODE)) + str(answer)
    assert (await house.get(PATH))["proxy"]["host"] == "node.corp"


@pytest.mark.parametrize("who", ["viewer", "operator", "node-1", None])
async def test_only_administrators_see_and_set_it(house: House, who: str | None) -> None:
    await house.beat()
    status = 401 if who is None else 403
    for method, path in (("GET", PATH), ("PUT", PATH), ("POST", f"{PATH}/test-proxy")):
        answer = await house.send(method, path, who=who, body=None if method == "GET" else {})
        assert answer.status_code == status


async def test_an_unknown_node_has_none(house: House) -> None:
    for method, path in (("GET", PATH), ("PUT", PATH), ("POST", f"{PATH}/test-proxy")):
        answer = await house.send(method, path, body=None if method == "GET" else {})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"proxy": {"enabled": True, "host": ""}}, "proxy.host"),
        ({"proxy": {"enabled": True, "host": "a b"}}, "proxy.host"),
        ({"proxy": {**PROXY, "username": "a\nb"}}, "proxy.username"),
        ({"env_vars": {"A=B": "x"}}, "env_vars.A=B"),
        ({"env_vars": {"A": "x\0"}}, "env_vars.A"),
        ({"env_vars": {"A": "x" * 40_000}}, "env_vars.A"),
        ({"resources": {"memory_limit": "lots"}}, "resources.memory_limit"),
        ({"resources": {"memory_limit": "1k"}}, "resources.memory_limit"),
        ({"resources": {"cpu_limit": 0}}, "resources.cpu_limit"),
        ({"resources": {"cpu_limit": "nan"}}, "resources.cpu_limit"),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_field(
    house: House, body: dict[str, Any], field: str
) -> None:
    await house.beat()
    answer = await house.send("PUT", PATH, body=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field), answer.text
    assert await house.get(PATH) == {}


async def test_a_runs_proxy_counts_before_its_nodes_and_that_before_the_default(
    house: House,
) -> None:
    assert await given(house) is None
    default = await house.make(
        "/api/v1/proxies", {"name": "d", "host": "default.corp", "is_default": True}
    )
    own = await house.make("/api/v1/proxies", {"name": "o", "host": "own.corp", "port": 81})
    assert (await given(house))["proxy"]["host"] == "default.corp"
    await put(house, CONFIG)
    config = await given(house)
    assert (config["proxy"]["host"], config["env_vars"]) == ("node.corp", {"TOKEN": "value-4711"})
    config = await given(house, **asking(proxy_id=own["id"]))
    assert (config["proxy"]["host"], config["proxy"]["port"]) == ("own.corp", 81)
    assert config["resources"] == CONFIG["resources"]
    assert (await given(house, **asking(proxy_id="none")))["proxy"]["enabled"] is False
    await put(house, {"proxy": {"enabled": False}})
    assert (await given(house))["proxy"]["enabled"] is False
    await put(house, {})
    await house.send("PUT", f"/api/v1/proxies/{default['id']}", body={"status": "inactive"})
    assert await given(house) is None


async def test_a_run_that_names_a_proxy_never_goes_without_it(house: House) -> None:
    await house.beat()
    path = "/api/v1/tasks"
    for name in ("proxy-000000000000", 7, "a b"):
        body = {"name": "t", **asking(proxy_id=name)}
        answer = await house.send("POST", path, body=body)
        assert answer.json()["field"] == "agent.parameters.proxy_id", answer.text
    proxy = await house.make("/api/v1/proxies", {"name": "o", "host": "own.corp"})
    task = await house.task(constraints={"node_id": "node-1"}, **asking(proxy_id=proxy["id"]))
    run = await house.make(f"/api/v1/tasks/{task['id']}/runs")
    await house.send("DELETE", f"/api/v1/proxies/{proxy['id']}")
    await house.services.scheduler.cycle()
    body = {"node_id": "node-1", "process_id": "p1"}
    refused = await house.send("POST", f"/api/v1/runs/{run['id']}/claim", who="node-1", body=body)
    assert (refused.status_code, refused.json()["details"]["reason"]) == (409, "ended")
    ended = await house.get(f"/api/v1/runs/{run['id']}")
    assert (ended["status"], ended["error_code"]) == ("failed", "start_failed")
    assert proxy["id"] in ended["error"]


async def test_a_run_that_has_begun_is_claimed_again_whatever_became_of_its_proxy(
    house: House,
) -> None:
    proxy = await house.make("/api/v1/proxies", {"name": "o", "host": "own.corp"})
    first = (await claimed(house, **asking(proxy_id=proxy["id"]))).json()
    run_id, epoch = first["run"]["id"], first["lease"]["epoch"]
    event = {"seq": 1, "type": "run_started", "timestamp": "2026-11-23T10:31:22Z", "payload": {}}
    await house.make(
        f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": [event]}, who="node-1"
    )
    await house.send("DELETE", f"/api/v1/proxies/{proxy['id']}")
    body = {"node_id": "node-1", "process_id": "p2", "epoch": epoch}
    again = await house.send("POST", f"/api/v1/runs/{run_id}/claim", who="node-1", body=body)
    assert again.status_code == 200, again.text


async def test_nothing_of_it_is_stored_open_or_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await house.beat()
    await put(house, CONFIG)
    await given(house)
    everything = f"{await house.everything()} {caplog.text} {await house.metrics()}"
    assert PASSWORD not in everything
    assert "value-4711" not in everything


async def test_it_goes_with_its_node(house: House) -> None:
    await house.beat()
    await put(house, CONFIG)
    assert (await house.send("DELETE", NODE)).status_code == 204
    await house.beat(process_id="p2", started_at="2026-11-23T10:31:22Z")
    assert await house.get(PATH) == {}


async def node_answers(house: House, answer: dict[str, Any]) -> dict[str, Any]:
    """What a node does: waits for news, asks what to try, tells how it went."""
    polled: dict[str, Any] = {"directives": {}}
    async with asyncio.timeout(20):
        while not polled["directives"].get("proxy_tests"):
            polled = await house.get(f"{NODE}/runs", who="node-1", wait=5, status="assigned")
    (test_id,) = polled["directives"]["proxy_tests"]
    assert PASSWORD not in str(polled)
    listed = await house.get(f"{NODE}/proxy-tests", who="node-1")
    (order,) = listed["tests"]
    assert order["id"] == test_id
    hidden = await house.get(f"{NODE}/proxy-tests", who="admin")
    assert hidden["tests"][0]["proxy"].get("password") in {None, "***"}
    sent = await house.send("POST", f"{NODE}/proxy-tests/{test_id}", who="node-1", body=answer)
    assert sent.status_code == 204
    return dict(order)


async def test_a_node_is_asked_to_test_its_proxy_and_its_answer_is_given(house: House) -> None:
    await house.beat()
    await put(house, CONFIG)
    told = {"success": True, "latency_ms": 12, "status_code": 200, "message": "ok\x1b[2J"}
    body = {"target_url": "https://example.org/"}
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(house.send("POST", f"{PATH}/test-proxy", body=body))
        order = await node_answers(house, told)
    answer = asked.result()
    assert answer.json() == {**told, "message": "ok"}
    assert order["proxy"] == PROXY
    assert order["target_url"] == "https://example.org/"
    assert (await house.get(f"{NODE}/proxy-tests", who="node-1"))["tests"] == []
    assert "proxy_tests" not in (await house.beat())["directives"]
    late = await house.send("POST", f"{NODE}/proxy-tests/{order['id']}", who="node-1", body=told)
    assert late.status_code == 404


@pytest.mark.parametrize(("host", "password"), [("node.corp", PASSWORD), ("other.corp", None)])
async def test_a_proxy_that_is_not_kept_yet_is_tested_with_the_kept_password_of_its_host_alone(
    house: House, host: str, password: str | None
) -> None:
    await house.beat()
    await put(house, CONFIG)
    body = {"proxy": {**PROXY, "host": host, "port": 99, "password": "***"}}
    async with asyncio.TaskGroup() as group:
        group.create_task(house.send("POST", f"{PATH}/test-proxy", body=body))
        order = await node_answers(house, {"success": False, "message": "no"})
    assert (order["proxy"]["host"], order["proxy"]["port"]) == (host, 99)
    assert order["proxy"].get("password") == password
    assert (await house.get(PATH))["proxy"]["port"] == PROXY["port"]


async def test_without_a_proxy_or_a_node_that_is_there_nobody_waits(house: House) -> None:
    await house.beat()
    answer = (await house.send("POST", f"{PATH}/test-proxy", body={})).json()
    assert answer == {"success": False, "message": "runs of this node have no proxy"}
    await put(house, CONFIG)
    other = await house.send(
        "POST", f"{NODE}/proxy-tests/proxy-1", who="node-1", body={"success": True, "message": ""}
    )
    assert other.status_code == 404


async def logins_of_node(house: House, who: str) -> Any:
    listed = await house.get(f"{NODE}/actions", who=who, wait=0, status="assigned")
    return [action.get("env_config") for action in listed["actions"]]


async def test_a_login_gets_its_proxy_in_its_nodes_list_alone(house: House) -> None:
    await house.beat()
    await put(house, {"env_vars": {"A": "b"}})
    proxy = await house.make(
        "/api/v1/proxies",
        {"name": "o", "host": "own.corp", "username": "ann", "password": PASSWORD},
    )
    login = {"name": "me", "agent_type": "claude-code", "proxy_id": "proxy-000000000000"}
    body = {"type": "oauth", "config": login, "node_id": "node-1"}
    refused = await house.send("POST", "/api/v1/operations", body=body)
    assert (refused.status_code, refused.json()["field"]) == (400, "config.proxy_id")
    login["proxy_id"] = proxy["id"]
    made = await house.make("/api/v1/operations", body)
    (config,) = await logins_of_node(house, "node-1")
    assert (config["proxy"]["host"], config["proxy"]["password"]) == ("own.corp", PASSWORD)
    assert config["env_vars"] == {"A": "b"}
    assert await logins_of_node(house, "admin") == [None]
    shown = await house.get(f"/api/v1/actions/{made['action_id']}")
    assert "env_config" not in shown
    await house.send("DELETE", f"/api/v1/proxies/{proxy['id']}")
    assert await logins_of_node(house, "node-1") == [None]
