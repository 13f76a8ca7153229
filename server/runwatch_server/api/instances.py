"""Instances over HTTP, under both of their names (contract 14)."""

import logging
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from runwatch_server.api.call import Call, Route, json
from runwatch_server.checks import canonical_type
from runwatch_server.instances import life, polling
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.instances.showing import instance_record
from runwatch_server.polls import LONGEST_WAIT_S
from runwatch_server.problems import Answer
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.instances import (
    AgentList,
    Instance,
    InstanceId,
    InstanceList,
    InstancePatch,
    InstanceRequest,
    NodeAgents,
)
from runwatch_shared.logs import log
from runwatch_shared.states import INSTANCE_STATUSES
from runwatch_shared.wire import MessageAnswer

logger: Final = logging.getLogger(__name__)

LIST_NAMES: Final[dict[str, type[AgentList] | type[InstanceList]]] = {
    "agents": AgentList,
    "instances": InstanceList,
}
"""The last part of the path, and the record of its list."""
ALL: Final = "all"
PAGE: Final = 1000
_REQUEST: Final = msgspec.json.Decoder(InstanceRequest)
_PATCH: Final = msgspec.json.Decoder(InstancePatch)


async def listing(call: Call) -> Answer:
    query = call.query()
    statuses = query.enums("status", INSTANCE_STATUSES) or INSTANCE_STATUSES
    types = query.several("agent_type")
    wanted = None if types is None else {canonical_type(name) for name in types}
    account_id, node_id = query.text("account_id"), query.text("node_id")

    def read(tx: ReadTx) -> list[Instance]:
        found: list[Instance] = []
        after: tuple[int, str] | None = None
        while True:
            page = tx.kept(InstanceRow).find(
                account_id=account_id, node_id=node_id, status=statuses, after=after, limit=PAGE
            )
            found += [
                instance_record(row) for row in page if wanted is None or row.agent_type in wanted
            ]
            if len(page) < PAGE:
                return found
            after = (page[-1].created_us, page[-1].id)

    found = await call.services.reader.read(read)
    if call.route.path.endswith("/agents"):
        return json(AgentList(agents=found, count=len(found)))
    return json(InstanceList(instances=found, count=len(found)))


async def one(call: Call) -> Answer:
    instance_id = call.id("instance")
    row = await call.services.reader.read(lambda tx: life.stored(tx.kept(InstanceRow), instance_id))
    return json(instance_record(row))


async def create(call: Call) -> Answer:
    request = call.decode(_REQUEST)
    row = await call.services.writer.write(lambda tx: life.create(tx, request))
    _log(call, row, "create", None)
    return json(instance_record(row), 201)


async def start(call: Call) -> Answer:
    instance_id = call.id("instance")
    before, row = await call.services.writer.write(
        lambda tx: (life.stored(tx.kept(InstanceRow), instance_id), life.start(tx, instance_id))
    )
    _log(call, row, "start", before.status)
    return json(MessageAnswer(message=f"instance {row.id} is to start"))


async def stop(call: Call) -> Answer:
    instance_id, force = call.id("instance"), bool(call.query().flag("force"))
    by_name, settings = call.principal.name, call.services.settings

    def work(tx: WriteTx) -> InstanceRow:
        return life.stop(tx, instance_id, force=force, by_name=by_name, settings=settings)

    row = await call.services.writer.write(work)
    _log(call, row, "stop", "running")
    return json(MessageAnswer(message=f"instance {row.id} is to stop"))


async def delete(call: Call) -> Answer:
    instance_id, force = call.id("instance"), bool(call.query().flag("force"))
    by_name, settings = call.principal.name, call.services.settings

    def work(tx: WriteTx) -> InstanceRow:
        return life.delete(tx, instance_id, force=force, by_name=by_name, settings=settings)

    row = await call.services.writer.write(work)
    _log(call, row, "delete", row.status)
    return json(MessageAnswer(message=f"instance {row.id} was deleted"))


async def report(call: Call) -> Answer:
    instance_id, patch, principal = call.id("instance"), call.decode(_PATCH), call.principal

    def work(tx: WriteTx) -> tuple[InstanceRow, InstanceRow | None]:
        return life.report(tx, instance_id, patch, by=principal)

    before, after = await call.services.writer.write(work)
    if after is None:
        _log(call, before, "removed", before.status)
        return json(MessageAnswer(message=f"instance {before.id} is no more"))
    if after.status != before.status:
        _log(call, after, "report", before.status)
    return json(MessageAnswer(message=f"instance {after.id} is {after.status}"))


async def of_node(call: Call) -> Answer:
    node_id, query, services = call.own_node(), call.query(), call.services
    named = query.enums("status", (ALL, *INSTANCE_STATUSES)) or polling.OPEN
    polled = await polling.poll_instances(
        node_id,
        statuses=INSTANCE_STATUSES if ALL in named else named,
        wait_s=query.seconds("wait", LONGEST_WAIT_S),
        reader=services.reader,
        doorbells=services.doorbells,
        clock=services.clock,
    )
    return json(
        NodeAgents(
            agents=[instance_record(row) for row in polled.rows],
            count=len(polled.rows),
            deleted=[InstanceId(row.id) for row in polled.deleted],
        )
    )


def _log(call: Call, row: InstanceRow, action: str, before: str | None) -> None:
    failed = row.status == "error" and action == "report"
    log(
        logger,
        logging.WARNING if failed else logging.INFO,
        "instance",
        "An instance failed" if failed else "An instance changes",
        id=row.id,
        action=action,
        from_=before,
        to=row.status,
        node_id=row.node_id,
        by=call.principal.name,
    )


def _routes(name: str) -> Iterator[Route]:
    path = f"/api/v1/{name}"
    yield Route(
        method="GET",
        path=path,
        handler=listing,
        summary="List instances: long-lived containers of accounts",
        answers={200: LIST_NAMES[name]},
        errors=("invalid_value",),
        parameters=("agent_type", "account_id", "node_id", "status"),
    )
    yield Route(
        method="POST",
        path=path,
        handler=create,
        summary="Make an instance of an account on a node",
        body=InstanceRequest,
        answers={201: Instance},
        errors=("missing_field", "invalid_field"),
    )
    yield Route(
        method="GET",
        path=f"{path}/{{id}}",
        handler=one,
        summary="Read an instance",
        answers={200: Instance},
        errors=("not_found",),
    )
    yield Route(
        method="PATCH",
        path=f"{path}/{{id}}",
        handler=report,
        summary="A node says how an instance is",
        body=InstancePatch,
        answers={200: MessageAnswer},
        errors=(
            "missing_field",
            "invalid_field",
            "invalid_value",
            "not_your_node",
            "not_found",
            "invalid_transition",
        ),
    )
    yield Route(
        method="DELETE",
        path=f"{path}/{{id}}",
        handler=delete,
        summary="Delete an instance with its container; with force the runs in it are cancelled",
        answers={200: MessageAnswer},
        errors=("not_found", "in_use", "invalid_parameter"),
        parameters=("force",),
    )
    changes: tuple[tuple[str, Any, str, tuple[str, ...]], ...] = (
        ("start", start, "Start a stopped or failed instance", ()),
        (
            "stop",
            stop,
            "Stop an instance, which keeps its files; with force the runs in it are cancelled",
            ("force",),
        ),
    )
    for verb, handler, summary, parameters in changes:
        yield Route(
            method="POST",
            path=f"{path}/{{id}}/{verb}",
            handler=handler,
            summary=summary,
            answers={200: MessageAnswer},
            errors=("not_found", "invalid_transition", *(("in_use",) if parameters else ())),
            parameters=parameters,
        )


ROUTES: Final = (
    *(route for name in LIST_NAMES for route in _routes(name)),
    Route(
        method="GET",
        path="/api/v1/nodes/{id}/agents",
        handler=of_node,
        summary="A node's instances, by default those it has to act on; waits for one",
        answers={200: NodeAgents},
        errors=("invalid_parameter", "invalid_value", "not_your_node", "not_found"),
        parameters=("status", "wait"),
        long_poll=True,
    ),
)
