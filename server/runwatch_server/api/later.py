"""What is not built yet, answered as contract 15 says: empty lists, and 501 for the rest."""

from collections.abc import Iterator
from typing import Any, Final

from runwatch_server.access.table import ANY, HITL, HITL_TREES, LATER_LISTS
from runwatch_server.api.call import Call, Handler, Route, json
from runwatch_server.problems import Answer
from runwatch_shared.errors import RefusedError, not_found

_API: Final = "/api/v1"
_LIST_NAMES: Final = {
    "terminal-sessions": "sessions",
    "terminals": "sessions",
    "terminal/session": "sessions",
    "nodes/{id}/terminal-sessions": "sessions",
    "node-provisions": "provisions",
    "task-templates": "templates",
    "agent-templates": "templates",
    "skills": "skills",
    "mcp-servers": "mcp_servers",
    "security-policies": "policies",
}


async def not_implemented(_: Call) -> Answer:
    raise RefusedError("not_implemented", "this is not built yet")


def _empty(name: str) -> Handler:
    answer = json({name: [], "count": 0})

    async def empty(_: Call) -> Answer:
        return answer

    return empty


def _empty_of_run(body: dict[str, Any]) -> Handler:
    answer = json(body)

    async def empty(call: Call) -> Answer:
        run_id = call.id("run")
        if await call.services.reader.read(lambda tx: tx.runs.get(run_id)) is None:
            raise not_found("run")
        return answer

    return empty


def _hitl_body(name: str) -> dict[str, Any]:
    if name == "hitl/pending":
        return {"approvals": [], "confirmations": [], "total": 0}
    return {name: [], "count": 0}


def _routes() -> Iterator[Route]:
    for path in LATER_LISTS:
        yield _list(f"{_API}/{path}", _empty(_LIST_NAMES[path]))
        yield _rest(ANY, f"{_API}/{path}")
    for name in HITL:
        empty = _empty_of_run(_hitl_body(name))
        yield _list(f"{_API}/runs/{{id}}/{name}", empty, errors=("not_found",))
        yield _rest(ANY, f"{_API}/runs/{{id}}/{name}")
    for path in (*LATER_LISTS, *(f"runs/{{id}}/{name}" for name in HITL_TREES)):
        yield _rest("GET", f"{_API}/{path}/{{rest:path}}")
        yield _rest(ANY, f"{_API}/{path}/{{rest:path}}")
    yield _rest("PUT", f"{_API}/tasks/{{id}}/context")
    yield _rest(ANY, f"{_API}/config")
    yield _rest(ANY, f"{_API}/config/{{rest:path}}")


def _list(path: str, handler: Handler, *, errors: tuple[str, ...] = ()) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        summary="An empty list: not built yet",
        answers={200: dict[str, Any]},
        errors=errors,
        hidden="terminal/session" in path,
    )


def _rest(method: str, path: str) -> Route:
    return Route(
        method=method,
        path=path,
        handler=not_implemented,
        summary="Not built yet",
        answers={},
        errors=("not_implemented",),
        hidden=True,
    )


ROUTES: Final = tuple(_routes())
