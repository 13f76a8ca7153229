"""Whatever comes in, nothing is a defect of ours: no 500, and every refusal has its form."""

import random
from typing import Any

import msgspec
import pytest

from runwatch_server.access.table import ANY
from runwatch_server.api.queries import PARAMETERS
from runwatch_server.app import ROUTES, openapi_document
from runwatch_shared.errors import STATUS_OF_CODE
from tests.server.http.house import House, event, open_house

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    1e308,
    0.5,
    "",
    "x",
    "\u202e",
    "\x00",
    "a" * 300,
    "\U0001f600",
    "../..",
    "2026-11-23T10:31:22Z",
    "9999-12-31T23:59:59.999999999Z",
    "0001-01-01T00:00:00+23:59",
    [],
    {},
    [[]],
    {"": ""},
)
ODD_TEXTS = (
    *("", "-1", "0", "1", "99999999999999999999", "1e9", "true", "ten", "a,b", "%00", ":", "a:b"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00%2B23:59", "999999999d", "-update_time", "raw"),
    *("\u202e", "x" * 200),
)
PLAIN: dict[str, tuple[Any, ...]] = {
    "string": ("x", "node-1", "2026-11-23T10:31:22Z", "message"),
    "integer": (1, 2, 3, 60),
    "number": (1.5,),
    "boolean": (True, False),
}


def made(schema: Any, components: Any, rng: random.Random, depth: int = 0) -> Any:
    """A value that mostly fits a schema."""
    if rng.random() < 0.12 or depth > 6:
        return rng.choice(ODD)
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return made(rng.choice(schema["anyOf"]), components, rng, depth + 1)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return [made(schema["items"], components, rng, depth + 1) for _ in range(rng.randrange(3))]
    if kind == "object":
        return made_object(schema, components, rng, depth + 1)
    return rng.choice(PLAIN.get(kind, ODD))


def made_object(schema: Any, components: Any, rng: random.Random, depth: int) -> Any:
    fields = schema.get("properties", {"k": schema.get("additionalProperties", {})})
    required = set(schema.get("required", ()))
    return {
        name: made(each, components, rng, depth)
        for name, each in fields.items()
        if name in required or rng.random() < 0.5
    }


def check(answer: Any, what: Any) -> None:
    assert answer.status_code != 500, (what, answer.text)
    if answer.status_code >= 400 and answer.status_code != 503:
        problem = answer.json()
        assert STATUS_OF_CODE[problem["code"]] == answer.status_code, what
        assert set(problem) <= {"error", "code", "field", "details"}


async def with_login(house: House) -> None:
    """An account, and a login that waits for input."""
    config = {"name": "ada", "agent_type": "claude-code"}
    await house.make("/api/v1/accounts", config)
    body = {"type": "oauth", "config": config, "node_id": "node-1"}
    made = await house.make("/api/v1/operations", body)
    told = {"status": "waiting", "phase": "waiting_input", "result": {"input_prompt": "Code?"}}
    await house.send("PATCH", f"/api/v1/actions/{made['action_id']}", who="node", body=told)


async def path_of(route: str, house: House, rng: random.Random) -> str:
    """A path of the route, of things that exist where that is likely to go further."""
    runs = await house.get("/api/v1/monitor/workflows", limit=20, type="run")
    run = rng.choice(runs["workflows"])
    logins = await house.get("/api/v1/operations", limit=20)
    login = rng.choice(logins["operations"] or [{"id": "op-000000000000"}])
    known = {
        "tasks": run["task_id"],
        "runs": run["id"],
        "nodes": "node-1",
        "operations": login["id"],
        "actions": login["id"].replace("op-", "act-"),
        "accounts": "claude-code_ada",
    }
    kind = next((value for name, value in known.items() if f"/{name}/" in route), run["id"])
    path = route.replace("{id}", rng.choice([kind, kind, kind, "x", "%F0%9F%98%80"]))
    return path.replace("{type}", rng.choice(["run", "auth", "x"])).replace("{rest:path}", "a/b")


@pytest.mark.parametrize("seed", range(2))
async def test_no_body_is_a_defect(seed: int) -> None:
    rng = random.Random(seed)
    document = msgspec.json.decode(openapi_document())
    components = document["components"]["schemas"]
    async with open_house() as house:
        await house.held_run()
        await with_login(house)
        for _ in range(15):
            for route in ROUTES:
                if route.body in {None, bytes} or rng.random() < 0.5:
                    continue
                operation = document["paths"][route.path][route.method.lower()]
                content = operation["requestBody"]["content"]["application/json"]
                body = made(content["schema"], components, rng)
                path = await path_of(route.path, house, rng)
                who = rng.choice(["admin", "node", "node-1"])
                check(await house.send(route.method, path, who=who, body=body), (path, body))


@pytest.mark.parametrize("seed", range(2))
async def test_no_query_is_a_defect(seed: int) -> None:
    rng = random.Random(seed)
    async with open_house() as house:
        run_id, epoch = await house.held_run()
        body = {"epoch": epoch, "events": [event(seq) for seq in range(1, 20)]}
        await house.make(f"/api/v1/runs/{run_id}/events", body, who="node")
        for _ in range(5):
            for route in ROUTES:
                if route.method not in {"GET", ANY} or "wait" in route.parameters:
                    continue
                names = route.parameters or tuple(PARAMETERS)
                chosen = [rng.choice(names) for _ in range(rng.randrange(4))]
                query = "&".join(f"{name}={rng.choice(ODD_TEXTS)}" for name in chosen)
                path = f"{await path_of(route.path, house, rng)}?{query}"
                check(await house.send("GET", path), path)
