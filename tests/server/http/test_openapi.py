"""The OpenAPI document describes exactly the routes there are."""

import re
from typing import Any

import msgspec

from runwatch_server.access.table import ACCESS, ANY
from runwatch_server.app import ROUTES
from tests.server.http.house import House

METHODS = {"get", "post", "put", "patch", "delete"}
KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


async def document(house: House) -> Any:
    answer = await house.send("GET", "/api/v1/openapi.json", who=None)
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def test_it_has_every_route_and_no_other(house: House) -> None:
    paths = (await document(house))["paths"]
    described = {(method.upper(), path) for path, each in paths.items() for method in each}
    shown = {route.key for route in ROUTES if not route.hidden and route.method != ANY}
    assert described == shown


async def test_its_references_parameters_and_names_hold(house: House) -> None:
    whole = await document(house)
    assert whole["openapi"].startswith("3.1")
    components = whole["components"]["schemas"]
    references = set(
        re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(whole).decode())
    )
    assert references == set(components)
    names = []
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            assert method in METHODS
            names.append(operation["operationId"])
            in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path))
            assert any(int(status) < 600 for status in operation["responses"])
    assert len(names) == len(set(names))


async def test_it_says_what_each_route_asks_of_a_caller(house: House) -> None:
    whole = await document(house)
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            need = ACCESS[method.upper(), path]
            assert operation["x-scopes"] == sorted(need.scopes)
            assert (operation["security"] == []) == need.public
            assert ("401" in operation["responses"]) >= (not need.public)


async def test_answers_fit_their_schemas(house: House) -> None:
    """Of each record the required fields are there, and no field is unknown to the schema."""
    whole = await document(house)
    run = await house.run()
    await house.beat()
    for template, path in (
        ("/api/v1/tasks", "/api/v1/tasks"),
        ("/api/v1/runs/{id}", f"/api/v1/runs/{run['id']}"),
        ("/api/v1/monitor/workflows", "/api/v1/monitor/workflows"),
        ("/api/v1/monitor/workflows/{type}/{id}", f"/api/v1/monitor/workflows/run/{run['id']}"),
        ("/api/v1/monitor/stats", "/api/v1/monitor/stats"),
        ("/api/v1/monitor/stats/history", "/api/v1/monitor/stats/history"),
        ("/api/v1/nodes", "/api/v1/nodes"),
        ("/api/v1/server", "/api/v1/server"),
        ("/readyz", "/readyz"),
    ):
        content = whole["paths"][template]["get"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        problems = misfits(await house.get(path), schema, whole["components"]["schemas"])
        assert problems == [], path


def misfits(value: Any, schema: Any, components: Any, at: str = "$") -> list[str]:
    """Where a value does not fit its schema."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        found = [misfits(value, each, components, at) for each in schema["anyOf"]]
        return [] if [] in found else min(found, key=len)
    kind = schema.get("type")
    if kind is not None and not isinstance(value, KINDS[kind]):
        return [f"{at}: {kind} expected"]
    wrong: list[str] = []
    if kind == "array":
        for index, item in enumerate(value):
            wrong += misfits(item, schema["items"], components, f"{at}[{index}]")
    elif kind == "object":
        wrong += [
            f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value
        ]
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            known = inner is not None
            wrong += misfits(item, inner, components, f"{at}.{name}") if known else [f"{at}.{name}"]
    return wrong
