"""Nodes over HTTP: heartbeats, the claim list, and what administrators set (contract 11)."""

import logging
from typing import Final

import msgspec

from runwatch_server import found, ledger, nodes, polls, records
from runwatch_server.api.call import Call, Route, json, nothing
from runwatch_server.api.cursors import read_cursor, write_cursor
from runwatch_server.api.runs import opened, run_of
from runwatch_server.problems import Answer
from runwatch_server.rows import NodeRow
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.logs import log
from runwatch_shared.models import Node, Run
from runwatch_shared.states import NODE_STATUSES, RUN_STATUSES
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    ClaimedLease,
    DrainRequest,
    FoundRunAnswer,
    FoundRunRequest,
    Heartbeat,
    HeartbeatAnswer,
    NodeList,
    NodePatch,
    NodeRuns,
)

logger: Final = logging.getLogger(__name__)

DEFAULT_LIMIT: Final = 1000
SKEWED_MS: Final = 2000
_BEAT: Final = msgspec.json.Decoder(Heartbeat)
_PATCH: Final = msgspec.json.Decoder(NodePatch)
_DRAIN: Final = msgspec.json.Decoder(DrainRequest)
_FOUND: Final = msgspec.json.Decoder(FoundRunRequest)


async def heartbeat(call: Call) -> Answer:
    beat = call.decode(_BEAT)
    principal, settings = call.principal, call.services.settings
    before = call.services.projection.nodes.get(beat.node_id)

    def work(tx: WriteTx) -> tuple[HeartbeatAnswer, NodeRow]:
        answer = nodes.heartbeat(tx, beat, by=principal, settings=settings)
        return answer, nodes.stored_node(tx, beat.node_id)

    try:
        answer, node = await call.services.writer.write(work, urgent=True)
    except RefusedError as error:
        if error.code == "node_conflict":
            log(
                logger,
                logging.WARNING,
                "node.heartbeat",
                "Two processes use one node id",
                node_id=beat.node_id,
                code=error.code,
            )
        raise
    call.services.metrics.ingest.renewed(len(answer.leases))
    _log_beat(beat, before, node, len(answer.leases))
    return json(answer)


def _log_beat(beat: Heartbeat, before: NodeRow | None, node: NodeRow, lease_count: int) -> None:
    """Debug; information where the node is new, back or its clock is off."""
    skew_ms = node.clock_skew_ms or 0
    skewed = abs(skew_ms) > SKEWED_MS
    was_skewed = before is not None and abs(before.clock_skew_ms or 0) > SKEWED_MS
    if before is None:
        level, sentence = logging.INFO, "A node is new"
    elif before.status == "offline":
        level, sentence = logging.INFO, "A node is back"
    elif skewed and not was_skewed:
        level, sentence = logging.INFO, "A node's clock is off"
    else:
        level, sentence = logging.DEBUG, "A node beat"
    log(
        logger,
        level,
        "node.heartbeat",
        sentence,
        node_id=node.id,
        status=node.status,
        running=len(beat.runs or beat.running_runs or []),
        capacity=node.capacity,
        skew_ms=skew_ms,
        lease_count=lease_count,
    )


async def listing(call: Call) -> Answer:
    query = call.query()
    page = query.page(DEFAULT_LIMIT)
    after = "" if page.cursor is None else read_cursor(query.filter(), page.cursor)[1]
    statuses, labels, sought = query.enums("status", NODE_STATUSES), query.labels(), query.sought()
    now_us = call.services.clock.now_us()

    def fits(node: NodeRow) -> bool:
        return (
            node.id > after
            and (statuses is None or node.status in statuses)
            and all(
                key in node.labels and value in {None, node.labels[key]}
                for key, value in (labels or {}).items()
            )
            and (sought is None or _named(node, sought.casefold()))
        )

    def read(tx: ReadTx) -> Answer:
        found = sorted((node for node in tx.nodes.all() if fits(node)), key=lambda node: node.id)
        shown = found[: page.limit]
        more = len(found) > page.limit
        return json(
            NodeList(
                nodes=[records.node_record(node) for node in shown],
                count=len(shown),
                next_cursor=write_cursor(query.filter(), (None, shown[-1].id)) if more else None,
                revision=tx.revision(),
                server_time=format_time(now_us),
            )
        )

    return await call.services.reader.read(read)


async def one(call: Call) -> Answer:
    node_id = call.own_node()
    row = await call.services.reader.read(lambda tx: tx.nodes.get(node_id))
    if row is None:
        raise not_found("node")
    return json(records.node_record(row))


async def ledger_of(call: Call) -> Answer:
    node_id = call.id("node")
    return json(
        await call.services.reader.read(lambda tx: ledger.answer(tx.nodes.get(node_id), tx))
    )


async def patch(call: Call) -> Answer:
    node_id, changes = call.id("node"), call.decode(_PATCH)
    settings = call.services.settings
    row = await call.services.writer.write(
        lambda tx: nodes.patch_node(tx, node_id, changes, settings=settings)
    )
    if changes.status is not msgspec.UNSET:
        log(
            logger,
            logging.INFO,
            "node.drain",
            "A node was set to another status",
            node_id=node_id,
            by=call.principal.name,
            outcome=row.admin_status,
        )
    if isinstance(changes.status, str):
        log(
            logger,
            logging.INFO,
            "node.drain",
            "A node was set to a status",
            node_id=node_id,
            by=call.principal.name,
            status=row.admin_status,
        )
    return json(records.node_record(row))


async def drain(call: Call) -> Answer:
    node_id, stop_after_s = call.id("node"), call.decode(_DRAIN).stop_after_s
    by_name, settings = call.principal.name, call.services.settings

    def work(tx: WriteTx) -> NodeRow:
        return nodes.drain_node(
            tx, node_id, stop_after_s=stop_after_s, by_name=by_name, settings=settings
        )

    row = await call.services.writer.write(work)
    log(
        logger,
        logging.INFO,
        "node.drain",
        "A node gets no more runs",
        node_id=node_id,
        by=by_name,
        outcome="drained",
    )
    return json(records.node_record(row))


async def resume(call: Call) -> Answer:
    node_id, settings = call.id("node"), call.services.settings
    row = await call.services.writer.write(
        lambda tx: nodes.resume_node(tx, node_id, settings=settings)
    )
    log(
        logger,
        logging.INFO,
        "node.drain",
        "A node gets runs again",
        node_id=node_id,
        by=call.principal.name,
        outcome="resumed",
    )
    return json(records.node_record(row))


async def delete(call: Call) -> Answer:
    node_id = call.id("node")
    await call.services.writer.write(lambda tx: nodes.delete_node(tx, node_id))
    log(
        logger,
        logging.INFO,
        "node.delete",
        "A node was deleted",
        node_id=node_id,
        by=call.principal.name,
    )
    return nothing()


async def runs(call: Call) -> Answer:
    node_id, query, services = call.own_node(), call.query(), call.services
    polled = await polls.poll_runs(
        node_id,
        statuses=query.enums("status", RUN_STATUSES) or polls.DEFAULT_STATUSES,
        wait_s=query.seconds("wait", polls.LONGEST_WAIT_S),
        reader=services.reader,
        writer=services.writer,
        doorbells=services.doorbells,
        clock=services.clock,
        settings=services.settings,
    )
    show_env = call.principal.scope in {"node", "admin"}
    return json(
        NodeRuns(
            runs=[
                _for_its_node(call, records.run_record(row, spec, lease, show_env=show_env))
                for row, spec, lease in polled.runs
            ],
            count=len(polled.runs),
            directives=polled.directives,
        )
    )


def _for_its_node(call: Call, run: Run) -> Run:
    """The run with its variables; one whose key is gone still stands in the list."""
    try:
        return opened(run, call.services.vault)
    except RefusedError:
        env = dict.fromkeys(run.snapshot.env or {}, records.HIDDEN)
        return msgspec.structs.replace(run, snapshot=msgspec.structs.replace(run.snapshot, env=env))


async def announce(call: Call) -> Answer:
    """A session that the node found (contract 11.3)."""
    node_id, request = call.id("node"), call.decode(_FOUND)
    principal, settings = call.principal, call.services.settings

    def work(tx: WriteTx) -> tuple[found.Found, Answer]:
        run = found.announce(tx, node_id, request, by=principal, settings=settings)
        lease = ClaimedLease(
            epoch=run.lease.epoch,
            expires_at=format_time(run.lease.expires_us),
            ttl_s=settings.lease.ttl_s,
        )
        answer = FoundRunAnswer(run=run_of(tx, run.row), lease=lease, next_seq=run.next_seq)
        return run, json(answer, 201 if run.made else 200)

    run, answer = await call.services.writer.write(work)
    log(
        logger,
        logging.INFO,
        "run.claim",
        "A node found a session",
        run_id=run.row.id,
        node_id=node_id,
        epoch=run.lease.epoch,
        outcome="created" if run.made else "taken",
    )
    return answer


def _named(node: NodeRow, sought: str) -> bool:
    names = (node.id, node.display_name, node.hostname)
    return any(sought in name.casefold() for name in names if name)


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/nodes/heartbeat",
        handler=heartbeat,
        summary="A node says it is alive and learns what to do",
        body=Heartbeat,
        answers={200: HeartbeatAnswer},
        errors=("missing_field", "invalid_field", "not_your_node", "node_conflict", "node_deleted"),
    ),
    Route(
        method="GET",
        path="/api/v1/nodes",
        handler=listing,
        summary="List nodes",
        answers={200: NodeList},
        errors=("invalid_parameter", "invalid_value", "invalid_cursor"),
        parameters=("status", "label", "q", "limit", "cursor"),
    ),
    Route(
        method="GET",
        path="/api/v1/nodes/{id}",
        handler=one,
        summary="Read a node",
        answers={200: Node},
        errors=("not_your_node", "not_found"),
    ),
    Route(
        method="GET",
        path="/api/v1/nodes/{id}/ledger",
        handler=ledger_of,
        summary="What a node was given against what it says runs there",
        answers={200: LedgerAnswer},
        errors=("not_found",),
    ),
    Route(
        method="PATCH",
        path="/api/v1/nodes/{id}",
        handler=patch,
        summary="Set what an administrator may set of a node",
        body=NodePatch,
        answers={200: Node},
        errors=("invalid_field", "not_found", "name_taken"),
    ),
    Route(
        method="DELETE",
        path="/api/v1/nodes/{id}",
        handler=delete,
        summary="Forget a node",
        answers={204: None},
        errors=("not_found", "in_use"),
    ),
    Route(
        method="POST",
        path="/api/v1/nodes/{id}/drain",
        handler=drain,
        summary="Give a node no more runs",
        body=DrainRequest,
        answers={200: Node},
        errors=("invalid_field", "not_found"),
    ),
    Route(
        method="POST",
        path="/api/v1/nodes/{id}/resume",
        handler=resume,
        summary="Give a node runs again",
        answers={200: Node},
        errors=("not_found",),
    ),
    Route(
        method="GET",
        path="/api/v1/nodes/{id}/runs",
        handler=runs,
        summary="A node's runs and directives; waits for news",
        answers={200: NodeRuns},
        errors=("invalid_parameter", "not_your_node", "not_found"),
        parameters=("status", "wait"),
        long_poll=True,
    ),
    Route(
        method="POST",
        path="/api/v1/nodes/{id}/runs",
        handler=announce,
        summary="Report an agent session that was begun outside",
        body=FoundRunRequest,
        answers={200: FoundRunAnswer, 201: FoundRunAnswer},
        errors=("missing_field", "invalid_field", "not_your_node", "not_found"),
    ),
)
