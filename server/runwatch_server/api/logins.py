"""Logins over HTTP: operations, the actions nodes do for them, kinds of agents (contract 13)."""

import logging
from typing import Final

import msgspec

from runwatch_server.accounts import life, polling, showing
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.api.call import Call, Route, json
from runwatch_server.api.cursors import read_cursor, write_cursor
from runwatch_server.api.idempotency import write_once
from runwatch_server.ids import new_id
from runwatch_server.polls import LONGEST_WAIT_S
from runwatch_server.problems import Answer
from runwatch_server.proxies import configs
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_server.vault import VaultError
from runwatch_shared.errors import not_found
from runwatch_shared.logins import (
    Action,
    ActionAnswer,
    ActionList,
    ActionPatch,
    AgentType,
    AgentTypeList,
    InputRequest,
    Operation,
    OperationList,
    OperationMade,
    OperationRequest,
)
from runwatch_shared.logs import log
from runwatch_shared.proxies import EnvConfig
from runwatch_shared.states import (
    ACTION_STATUSES,
    OPERATION_STATUS_OF_ACTION,
    OPERATION_STATUSES,
    OPERATION_TYPES,
)

logger: Final = logging.getLogger(__name__)

DEFAULT_LIMIT: Final = 50
_REQUEST: Final = msgspec.json.Decoder(OperationRequest)
_PATCH: Final = msgspec.json.Decoder(ActionPatch)
_INPUT: Final = msgspec.json.Decoder(InputRequest)


class Taken(msgspec.Struct):
    """An empty answer."""


async def create(call: Call) -> Answer:
    request, services = call.decode(_REQUEST), call.services
    life.check_config(request, services.agent_types)
    action_id = new_id("act")
    key = request.config.api_key
    sealed = None if key is None else services.vault.seal_text(_key_name(action_id), key)

    def work(tx: WriteTx) -> Answer:
        row = life.start(
            tx,
            request,
            action_id=action_id,
            sealed_key=sealed,
            by_name=call.principal.name,
            settings=services.settings,
        )
        made = OperationMade(
            operation_id=row.operation_id, action_id=row.id, type=row.type, status="assigned"
        )
        return json(made, 201)

    return await write_once(call, work)


async def listing(call: Call) -> Answer:
    query = call.query()
    page = query.page(DEFAULT_LIMIT)
    types = query.enums("type", OPERATION_TYPES)
    wanted = query.enums("status", OPERATION_STATUSES)
    statuses = tuple(
        status
        for status in ACTION_STATUSES
        if wanted is None or OPERATION_STATUS_OF_ACTION[status] in wanted
    )
    place = None if page.cursor is None else read_cursor(query.filter(), page.cursor)
    after = None if place is None else (int(place[0] or 0), place[1])

    def read(tx: ReadTx) -> Answer:
        found: list[ActionRow] = []
        at, left = after, page.offset
        while len(found) <= page.limit:
            rows = tx.kept(ActionRow).find(
                status=statuses, newest_first=True, after=at, limit=page.limit + 1
            )
            if not rows:
                break
            at = (rows[-1].created_us, rows[-1].id)
            fitting = [row for row in rows if types is None or row.type in types]
            found += fitting[left:]
            left = max(0, left - len(fitting))
        shown = found[: page.limit]
        cursor = None
        if len(found) > page.limit:
            cursor = write_cursor(query.filter(), (shown[-1].created_us, shown[-1].id))
        return json(
            OperationList(
                operations=[showing.operation_record(row) for row in shown],
                count=len(shown),
                next_cursor=cursor,
            )
        )

    return await call.services.reader.read(read)


async def one(call: Call) -> Answer:
    operation_id = _id(call, "operation")
    row = await call.services.reader.read(lambda tx: life.stored(tx, operation_id))
    return json(showing.operation_record(row, with_actions=True))


async def cancel(call: Call) -> Answer:
    operation_id, by_name = _id(call, "operation"), call.principal.name
    row = await call.services.writer.write(
        lambda tx: life.cancel(tx, operation_id, by_name=by_name)
    )
    return json(showing.operation_record(row, with_actions=True))


async def action(call: Call) -> Answer:
    action_id = _id(call, "action")
    row = await call.services.reader.read(lambda tx: life.stored(tx, action_id))
    life.require_own(row, call.principal)
    return json(showing.action_record(row, with_operation=True))


async def patch(call: Call) -> Answer:
    action_id, told = _id(call, "action"), call.decode(_PATCH)
    row = await call.services.writer.write(
        lambda tx: life.patch(tx, action_id, told, by=call.principal)
    )
    return json(showing.answer_record(row))


async def give_input(call: Call) -> Answer:
    action_id, text = _id(call, "action"), call.decode(_INPUT).text
    life.check_input(text)
    sealed = call.services.vault.seal_text(_input_name(action_id), text)
    row = await call.services.writer.write(lambda tx: life.give_input(tx, action_id, sealed))
    log(
        logger,
        logging.INFO,
        "operation",
        "A person gave what a login asked for",
        id=row.id,
        action="input",
        node_id=row.node_id,
        by=call.principal.name,
    )
    return json(Taken(), 202)


async def of_node(call: Call) -> Answer:
    node_id, query, services = call.own_node(), call.query(), call.services
    polled = await polling.poll_actions(
        node_id,
        statuses=query.enums("status", ACTION_STATUSES) or polling.DEFAULT_STATUSES,
        wait_s=query.seconds("wait", LONGEST_WAIT_S),
        reader=services.reader,
        writer=services.writer,
        bells=services.action_bells,
        clock=services.clock,
        hands_over=call.principal.is_node,
    )
    given = await _given(call, node_id, polled.actions)
    actions = [
        msgspec.structs.replace(
            _for_its_node(call, row, polled.inputs.get(row.id)), env_config=given.get(row.id)
        )
        for row in polled.actions
    ]
    return json(ActionList(actions=actions, count=len(actions)))


async def agent_types(call: Call) -> Answer:
    return json(AgentTypeList(agent_types=call.services.agent_types.all()))


async def agent_type(call: Call) -> Answer:
    found = call.services.agent_types.get(call.id("agent_type"))
    if found is None:
        raise not_found("agent_type")
    return json(found)


async def _given(call: Call, node_id: str, rows: list[ActionRow]) -> dict[str, EnvConfig]:
    """What logins that are to begin get of their proxy and node, for the node alone."""
    if call.principal.scope != "node":
        return {}
    vault = call.services.vault
    wanted = {row.id: row.proxy_id for row in rows if row.finished_us is None}
    return await call.services.reader.read(
        lambda tx: configs.of_logins(tx, node_id, wanted, vault=vault)
    )


def _for_its_node(call: Call, row: ActionRow, sealed_input: str | None) -> Action:
    """The action with what is secret in it, for the node alone and not for an administrator who
    looks; what cannot be opened any more is left out.
    """
    key = _opened(call, _key_name(row.id), row.api_key) if call.principal.is_node else None
    text = _opened(call, _input_name(row.id), sealed_input)
    return showing.action_record(row, with_operation=True, key=key, text=text)


def _opened(call: Call, name: str, sealed: str | None) -> str | None:
    if sealed is None:
        return None
    try:
        return call.services.vault.open_text(name, sealed)
    except VaultError:
        log(
            logger,
            logging.WARNING,
            "operation",
            "What was given for a login was sealed with a key that is gone",
            code="sealed",
        )
        return None


def _id(call: Call, kind: str) -> str:
    some_id = call.id(kind)
    if not some_id.startswith("op-" if kind == "operation" else "act-"):
        raise not_found(kind)
    return some_id


def _key_name(action_id: str) -> str:
    return f"{action_id} api_key"


def _input_name(action_id: str) -> str:
    return f"{action_id} input"


_API: Final = "/api/v1"

ROUTES: Final = (
    Route(
        method="POST",
        path=f"{_API}/operations",
        handler=create,
        summary="Begin a login on a node",
        body=OperationRequest,
        answers={201: OperationMade},
        errors=(
            "missing_field",
            "invalid_field",
            "invalid_value",
            "name_taken",
            "idempotency_conflict",
        ),
        idempotent=True,
    ),
    Route(
        method="GET",
        path=f"{_API}/operations",
        handler=listing,
        summary="List logins, newest first",
        answers={200: OperationList},
        errors=("invalid_parameter", "invalid_value", "invalid_cursor"),
        parameters=("type", "status", "limit", "offset", "cursor"),
    ),
    Route(
        method="GET",
        path=f"{_API}/operations/{{id}}",
        handler=one,
        summary="Read a login with its action",
        answers={200: Operation},
        errors=("not_found",),
    ),
    Route(
        method="POST",
        path=f"{_API}/operations/{{id}}/cancel",
        handler=cancel,
        summary="End a login",
        answers={200: Operation},
        errors=("not_found", "already_terminal"),
    ),
    Route(
        method="GET",
        path=f"{_API}/actions/{{id}}",
        handler=action,
        summary="Read an action with its operation",
        answers={200: Action},
        errors=("not_your_node", "not_found"),
    ),
    Route(
        method="PATCH",
        path=f"{_API}/actions/{{id}}",
        handler=patch,
        summary="A node tells how far a login is",
        body=ActionPatch,
        answers={200: ActionAnswer},
        errors=(
            "missing_field",
            "invalid_field",
            "invalid_value",
            "not_your_node",
            "not_found",
            "already_terminal",
            "invalid_transition",
        ),
    ),
    Route(
        method="POST",
        path=f"{_API}/actions/{{id}}/input",
        handler=give_input,
        summary="Give a login what it asks for, once",
        body=InputRequest,
        answers={202: Taken},
        errors=("missing_field", "invalid_field", "not_found", "invalid_transition"),
    ),
    Route(
        method="GET",
        path=f"{_API}/nodes/{{id}}/actions",
        handler=of_node,
        summary="A node's logins to do; waits for news",
        answers={200: ActionList},
        errors=("invalid_parameter", "invalid_value", "not_your_node", "not_found"),
        parameters=("status", "wait"),
        long_poll=True,
    ),
    Route(
        method="GET",
        path=f"{_API}/agent-types",
        handler=agent_types,
        summary="Kinds of agents and how one logs in to them",
        answers={200: AgentTypeList},
    ),
    Route(
        method="GET",
        path=f"{_API}/agent-types/{{id}}",
        handler=agent_type,
        summary="Read a kind of agent",
        answers={200: AgentType},
        errors=("not_found",),
    ),
)
