"""Who may do what: every route against every kind of caller, and the ways in (contract 2)."""

from typing import Any

import httpx
import pytest

from runwatch_server.access.table import ACCESS, ANY, Need, check_complete
from runwatch_server.api.call import Route, json
from runwatch_server.app import ROUTES, guarded_routes
from runwatch_shared.errors import SettingsError
from tests.server.http.house import PASSWORD, House, Unchanged, event, open_house

CALLERS = ("viewer", "operator", "admin", "node")
PATHS = {
    "{id}": "node-1",
    "{type}": "run",
    "{rest:path}": "more/of/it",
}


def concrete(path: str) -> str:
    for variable, value in PATHS.items():
        path = path.replace(variable, value)
    return path


def method_of(route: Route) -> str:
    return "PUT" if route.method == ANY else route.method


async def test_each_route_admits_exactly_the_scopes_of_its_row(house: House) -> None:
    """Every route × viewer, operator, admin, node and nobody, in one server."""
    wrong = []
    for route in ROUTES:
        need = ACCESS[route.key]
        method, path = method_of(route), concrete(route.path)
        for who in (*CALLERS, None):
            answer = await house.send(method, path, who=who)
            if refusal(answer) != expected(need, who):
                wrong.append((method, path, who, answer.text))
    assert wrong == []


def refusal(answer: httpx.Response) -> tuple[str, Any] | None:
    """What access alone said: the code and what is needed; None when the caller was let in."""
    if answer.status_code not in {401, 403}:
        return None
    problem = answer.json()
    if problem["code"] not in {"forbidden", "unauthenticated"}:
        return None
    return problem["code"], (problem.get("details") or {}).get("need")


def expected(need: Need, who: str | None) -> tuple[str, Any] | None:
    if need.public or who in need.scopes:
        return None
    return ("unauthenticated", None) if who is None else ("forbidden", need.asked)


async def test_local_mode_lets_read_without_a_credential_and_nothing_else(
    local_house: House,
) -> None:
    wrong = []
    for route in ROUTES:
        need, method = ACCESS[route.key], method_of(route)
        answer = await local_house.send(method, concrete(route.path), who=None)
        reads = method == "GET" and "viewer" in need.scopes and not need.credential
        let_in = need.public or reads
        if refusal(answer) != (None if let_in else ("unauthenticated", None)):
            wrong.append((method, route.path, answer.text))
    assert wrong == []


async def test_who_is_unknown_is_asked_for_a_bearer(house: House) -> None:
    answer = await house.send("GET", "/api/v1/tasks", who=None)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_route_without_a_row_and_a_row_without_a_route_stop_the_start() -> None:
    async def handler(_: Any) -> Any:
        return json({})

    odd = Route(method="GET", path="/odd", handler=handler, summary="", answers={})
    with pytest.raises(SettingsError, match="/odd"):
        guarded_routes((*ROUTES, odd))
    with pytest.raises(SettingsError, match="without a route"):
        check_complete([], {("GET", "/left"): Need()})


async def test_a_bound_node_may_not_touch_another_nodes_run(house: House) -> None:
    await house.beat("node-1")
    run_id, epoch = await house.held_run("node-2")
    attempts = [
        ("POST", f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": [event(1)]}),
        ("PATCH", f"/api/v1/runs/{run_id}", {"status": "done", "epoch": epoch}),
        ("POST", f"/api/v1/runs/{run_id}/claim", {"node_id": "node-2", "process_id": "p9"}),
        ("POST", f"/api/v1/runs/{run_id}/claim", {"node_id": "node-1", "process_id": "p9"}),
        ("POST", "/api/v1/nodes/heartbeat", {"node_id": "node-2", "process_id": "p9"}),
        ("GET", "/api/v1/nodes/node-2/runs", None),
        ("GET", "/api/v1/nodes/node-2", None),
        ("POST", f"/api/v1/runs/{run_id}/cancel", None),
        ("POST", f"/api/v1/runs/{run_id}/retry", None),
    ]
    for method, path, body in attempts:
        async with Unchanged(house):
            answer = await house.send(method, path, who="node-1", body=body)
            assert answer.status_code in {403, 409}, (method, path, answer.text)
            allowed = {"not_your_run", "not_your_node", "not_claimable", "forbidden", "lease_lost"}
            assert answer.json()["code"] in allowed


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer runwatch_admin_00000000_" + "A" * 43 + "_000000"},
        {"X-Node-Token": "nonsense"},
        {"Cookie": "access_token=nonsense"},
    ],
)
async def test_a_bad_credential_is_never_taken_as_none(
    local_house: House, headers: dict[str, str]
) -> None:
    async with Unchanged(local_house):
        answer = await local_house.send("GET", "/api/v1/monitor/stats", who=None, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "invalid_credential"
        assert answer.json()["details"] == {"reason": "unknown"}


async def test_a_token_with_one_character_changed_is_refused(house: House) -> None:
    text = house.tokens["admin"]
    changed = text[:30] + ("a" if text[30] != "a" else "b") + text[31:]
    answer = await house.send(
        "GET", "/api/v1/tasks", who=None, headers={"Authorization": f"Bearer {changed}"}
    )
    assert answer.status_code == 401


async def test_the_first_credential_found_counts(house: House) -> None:
    answer = await house.send(
        "GET", "/api/v1/tasks", who="viewer", headers={"X-Node-Token": "nonsense"}
    )
    assert answer.status_code == 200


async def test_a_node_token_header_takes_node_tokens_only(house: House) -> None:
    for who, status in (("node", 200), ("admin", 401)):
        headers = {"X-Node-Token": house.tokens[who]}
        answer = await house.send("GET", "/api/v1/server", who=None, headers=headers)
        assert answer.status_code == status


async def test_the_shared_node_token_acts_for_any_node() -> None:
    async with open_house(node_token="shared-secret") as house:
        headers = {"X-Node-Token": "shared-secret"}
        answer = await house.send(
            "POST",
            "/api/v1/nodes/heartbeat",
            who=None,
            headers=headers,
            body={"node_id": "any", "process_id": "p"},
        )
        assert answer.status_code == 200
        answer = await house.send("POST", "/api/v1/tasks", who=None, headers=headers, body={})
        assert answer.status_code == 403


@pytest.mark.parametrize("name", ["token", "access_token", "%74oken"])
async def test_a_credential_in_the_address_is_refused(local_house: House, name: str) -> None:
    answer = await local_house.send("GET", f"/api/v1/tasks?{name}=x", who=None)
    assert (answer.status_code, answer.json()["code"]) == (400, "token_in_query")


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:8080", "box.lan:8080"],
)
async def test_local_mode_answers_to_this_machines_names(host: str) -> None:
    async with open_house("local", allowed_hosts=["box.lan"]) as house:
        answer = await house.send("GET", "/api/v1/tasks", who=None, headers={"Host": host})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]"],
)
async def test_local_mode_refuses_other_names_without_a_credential(
    local_house: House, host: str
) -> None:
    async with Unchanged(local_house):
        for method, path in (("GET", "/api/v1/tasks"), ("POST", "/api/v1/auth/login")):
            answer = await local_house.send(method, path, who=None, headers={"Host": host})
            assert (answer.status_code, answer.json()["code"]) == (403, "host_not_allowed")
    answer = await local_house.send("GET", "/api/v1/tasks", headers={"Host": host})
    assert answer.status_code == 200


ORIGINS = (
    "null",
    "https://evil.example",
    "http://127.0.0.1:8081",
    "http://127.0.0.1",
    "https://127.0.0.1:8080",
    "http://127.0.0.1:8080.evil.example",
    "http://evil.example/127.0.0.1:8080",
    "http://user@127.0.0.1:8080",
    "http://127.0.0.1:8080/",
    "HTTP://127.0.0.1:8080",
    "http://localhost:8080",
    "https://UI.example",
    "https://ui.example:444",
    "",
)


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_web_page_of_another_origin_cannot_write(origin: str) -> None:
    async with open_house(allowed_origins=["https://ui.example"]) as house:
        async with Unchanged(house):
            answer = await house.send(
                "POST",
                "/api/v1/tasks",
                body={"name": "x", "prompt": "y"},
                headers={"Origin": origin},
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "https://ui.example"])
async def test_the_own_and_an_allowed_origin_can(origin: str) -> None:
    async with open_house(allowed_origins=["https://ui.example"]) as house:
        answer = await house.send(
            "POST", "/api/v1/tasks", body={"name": "x", "prompt": "y"}, headers={"Origin": origin}
        )
        assert answer.status_code == 201
        shared = answer.headers.get("access-control-allow-origin")
        assert shared == (origin if origin == "https://ui.example" else None)


async def test_a_preflight_is_answered_for_allowed_origins_only() -> None:
    async with open_house(allowed_origins=["https://ui.example"]) as house:
        for origin, status in (("https://ui.example", 204), ("https://evil.example", 403)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = await house.send("OPTIONS", "/api/v1/tasks", who=None, headers=headers)
            assert answer.status_code == status
            assert ("access-control-allow-methods" in answer.headers) == (status == 204)


async def test_forwarded_headers_count_from_trusted_proxies_only() -> None:
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "9.9.9.9"}
    async with open_house("local") as house:
        answer = await house.send("GET", "/api/v1/tasks", who=None, headers=forwarded)
        assert answer.status_code == 200
    async with open_house("local", trusted_proxies=["127.0.0.0/8"]) as house:
        answer = await house.send("GET", "/api/v1/tasks", who=None, headers=forwarded)
        assert answer.status_code == 403
        for protocol, secure in (("https", True), ("http", False)):
            answer = await house.send(
                "POST",
                "/api/v1/auth/login",
                who=None,
                body={"email": "admin@example.org", "password": PASSWORD},
                headers={"X-Forwarded-Proto": protocol},
            )
            assert all(
                ("Secure" in cookie) == secure for cookie in answer.headers.get_list("set-cookie")
            )


async def test_metrics_are_public_where_the_settings_say_so() -> None:
    for public, status in ((False, 401), (True, 200)):
        async with open_house(metrics_public=public) as house:
            assert (await house.send("GET", "/metrics", who=None)).status_code == status
