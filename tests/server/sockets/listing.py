"""What the HTTP routes answer over a fleet's store, by their own handlers and decoding."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import msgspec

from runwatch_server import records
from runwatch_server.api import monitor
from runwatch_server.api.call import Call
from runwatch_server.storage.protocols import ReadTx, TaskQuery
from runwatch_shared.models import Node, Task
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import WorkflowFilter, WorkflowList
from tests.server.sockets.fleet import Fleet
from tests.server.sockets.peers import VIEWER

ROUTE = next(route for route in monitor.ROUTES if route.handler is monitor.workflows)


def workflows(
    fleet: Fleet, wanted: WorkflowFilter, *, sort: str = "-update_time", limit: int = 1000
) -> WorkflowList:
    """`GET /api/v1/monitor/workflows` with the filter of a subscription."""

    async def read(work: Callable[[ReadTx], Any]) -> Any:
        with fleet.store.read() as tx:
            return work(tx)

    services: Any = SimpleNamespace(
        settings=ServerSettings(),
        clock=fleet.clock,
        projection=fleet.projection,
        reader=SimpleNamespace(read=read),
    )
    query = urlencode([*parameters(wanted), ("sort", sort), ("limit", limit)])
    call = Call(
        services=services,
        principal=VIEWER,
        scope={"query_string": query.encode(), "path_params": {}},
        headers={},
        body=b"",
        route=ROUTE,
    )
    handling = ROUTE.handler(call)
    try:
        handling.__await__().__next__()
    except StopIteration as answered:
        return msgspec.json.decode(answered.value.body, type=WorkflowList)
    raise AssertionError("nothing here waits")


def parameters(wanted: WorkflowFilter) -> list[tuple[str, str]]:
    """The query of contract 6.1 that asks for the same; ``ids`` has none."""
    assert wanted.ids is None
    given = []
    for name, value in msgspec.structs.asdict(wanted).items():
        match value:
            case None:
                pass
            case bool():
                given.append((name, str(value).lower()))
            case dict():
                given += [
                    ("label", key if held is None else f"{key}:{held}")
                    for key, held in value.items()
                ]
            case list():
                given.append((name, ",".join(value)))
            case _:
                given.append((name, value))
    return given


def nodes(fleet: Fleet) -> dict[str, Node]:
    """Every node as the list of nodes has it."""
    with fleet.store.read() as tx:
        found = [msgspec.json.encode(records.node_record(row)) for row in tx.nodes.all()]
    return {node.id: node for node in (msgspec.json.decode(each, type=Node) for each in found)}


def tasks(fleet: Fleet) -> dict[str, Task]:
    """Every task as the list of tasks has it."""
    with fleet.store.read() as tx:
        page = tx.tasks.page(TaskQuery(limit=1000))
        found = [msgspec.json.encode(records.task_record(row)) for row in page]
    return {task.id: task for task in (msgspec.json.decode(each, type=Task) for each in found)}
