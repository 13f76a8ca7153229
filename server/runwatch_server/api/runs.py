"""Runs over HTTP (contract 8.1 and 11.2); their events are in `events`."""

import logging
from typing import Final

import msgspec

from runwatch_server import leases, records, runs
from runwatch_server.api.call import Call, Route, json
from runwatch_server.api.cursors import read_cursor, write_cursor
from runwatch_server.api.idempotency import replayed, write_once
from runwatch_server.problems import Answer
from runwatch_server.proxies import configs
from runwatch_server.rows import RunRow
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_server.vault import Vault, VaultError
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.logs import log
from runwatch_shared.models import Run
from runwatch_shared.proxies import EnvConfig
from runwatch_shared.states import is_terminal
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    CancelAnswer,
    CancelRequest,
    ClaimAnswer,
    ClaimedLease,
    ClaimRequest,
    RunList,
    RunPatch,
    RunRequest,
)

logger: Final = logging.getLogger(__name__)

DEFAULT_LIMIT: Final = 50
_REQUEST: Final = msgspec.json.Decoder(RunRequest)
_PATCH: Final = msgspec.json.Decoder(RunPatch)
_CANCEL: Final = msgspec.json.Decoder(CancelRequest)
_CLAIM: Final = msgspec.json.Decoder(ClaimRequest)


def run_of(tx: ReadTx | WriteTx, row: RunRow, *, show_env: bool = False) -> Run:
    """A run with its snapshot and lease, as one transaction sees them."""
    spec = tx.runs.spec(row.id)
    if spec is None:
        raise not_found("run")
    return records.run_record(row, spec, tx.leases.get(row.id), show_env=show_env)


def opened(run: Run, vault: Vault) -> Run:
    """The run with the values of its variables as they were given.

    Raises:
        RefusedError: 503 ``store_unavailable``: the server has not the key they were sealed with.
    """
    try:
        env = vault.open(run.snapshot.env)
    except VaultError as error:
        message = f"the run's variables cannot be read: {error}"
        raise RefusedError("store_unavailable", message) from error
    snapshot = msgspec.structs.replace(run.snapshot, env=env)
    return msgspec.structs.replace(run, snapshot=snapshot)


async def create(call: Call) -> Answer:
    task_id, request = call.id("task"), call.decode(_REQUEST)
    by, settings, clock = call.principal.name, call.services.settings, call.services.clock
    began_s = clock.monotonic()
    log(logger, logging.DEBUG, "run.create.start", "Making a run", task_id=task_id, by=by)
    made: list[RunRow] = []

    def work(tx: WriteTx) -> Answer:
        row = runs.create_run(tx, task_id, request, settings=settings)
        made.append(row)
        return json(run_of(tx, row), 201)

    try:
        answer = await write_once(call, work)
    except RefusedError as error:
        missing = error.code == "not_found"
        log(
            logger,
            logging.INFO,
            "run.create.task.not_found" if missing else "run.create.failed",
            "No run was made",
            task_id=task_id,
            by=by,
            code=error.code,
        )
        raise
    duration_ms = (clock.monotonic() - began_s) * 1000
    if replayed(answer):
        log(
            logger,
            logging.INFO,
            "run.create.replayed",
            "A run was made before",
            task_id=task_id,
            by=by,
            duration_ms=duration_ms,
        )
        return answer
    log(
        logger,
        logging.INFO,
        "run.create.complete",
        "A run was made",
        run_id=made[-1].id,
        task_id=task_id,
        agent_type=made[-1].agent_type,
        attempt=made[-1].attempt,
        by=by,
        duration_ms=duration_ms,
    )
    return answer


async def of_task(call: Call) -> Answer:
    task_id, query = call.id("task"), call.query()
    page = query.page(DEFAULT_LIMIT)
    place = None if page.cursor is None else read_cursor(task_id, page.cursor)
    after = None if place is None else (int(place[0] or 0), place[1])

    def read(tx: ReadTx) -> Answer:
        if tx.tasks.get(task_id) is None:
            raise not_found("task")
        rows = tx.runs.of_task(task_id, limit=page.limit + 1, after=after)
        shown = rows[: page.limit]
        more = len(rows) > page.limit
        return json(
            RunList(
                runs=[run_of(tx, row) for row in shown],
                count=len(shown),
                next_cursor=write_cursor(task_id, (shown[-1].created_us, shown[-1].id))
                if more
                else None,
            )
        )

    return await call.services.reader.read(read)


async def one(call: Call) -> Answer:
    run_id = call.id("run")
    return json(await call.services.reader.read(lambda tx: run_of(tx, _row(tx, run_id))))


async def cancel(call: Call) -> Answer:
    run_id, request = call.id("run"), call.decode(_CANCEL)
    by, settings = call.principal.name, call.services.settings

    def work(tx: WriteTx) -> tuple[RunRow, Run]:
        row = runs.cancel_run(
            tx, run_id, reason="user", by_name=by, note=request.note, settings=settings
        )
        return row, run_of(tx, row)

    row, run = await call.services.writer.write(work)
    log(
        logger,
        logging.INFO,
        "run.cancel",
        "A run was asked to end",
        run_id=run_id,
        node_id=row.node_id,
        by=by,
        status=row.status,
        reason="user",
    )
    cancelling = row.cancel is not None and not is_terminal(row.status)
    return json(CancelAnswer(status=row.status, cancelling=cancelling, run=run))


async def retry(call: Call) -> Answer:
    run_id, request = call.id("run"), call.decode(_REQUEST)
    settings = call.services.settings
    made: list[RunRow] = []

    def work(tx: WriteTx) -> Answer:
        row = runs.retry_run(tx, run_id, request, settings=settings)
        made.append(row)
        return json(run_of(tx, row), 201)

    answer = await write_once(call, work)
    log(
        logger,
        logging.INFO,
        "run.retry",
        "A run was made again",
        run_id=made[-1].id if made else None,
        task_id=made[-1].task_id if made else None,
        attempt=made[-1].attempt if made else None,
        from_=run_id,
        by=call.principal.name,
        outcome="replayed" if replayed(answer) else "made",
    )
    return answer


async def claim(call: Call) -> Answer:
    run_id, request = call.id("run"), call.decode(_CLAIM)
    principal, settings = call.principal, call.services.settings

    def work(tx: WriteTx) -> tuple[leases.Claim, Run, EnvConfig | None] | None:
        claimed = leases.claim(tx, run_id, request, by=principal, settings=settings)
        run = run_of(tx, claimed.row, show_env=True)
        vault = call.services.vault
        try:
            config = configs.of_claim(tx, request.node_id, claimed.row, vault=vault)
        except configs.NoProxyError as error:
            runs.end_unstarted(tx, claimed.row, error=str(error), settings=settings)
            return None
        return claimed, opened(run, vault), config

    try:
        granted = await call.services.writer.write(work)
        if granted is None:
            raise RefusedError(
                "not_claimable",
                "the run asks for a proxy that cannot be had and has failed",
                details={"status": "failed", "reason": "ended"},
            )
        claimed, run, config = granted
    except RefusedError as error:
        _log_claim(run_id, request, None, error.code)
        raise
    _log_claim(run_id, request, claimed.lease.epoch, "ok")
    lease = ClaimedLease(
        epoch=claimed.lease.epoch,
        expires_at=format_time(claimed.lease.expires_us),
        ttl_s=settings.lease.ttl_s,
    )
    return json(
        ClaimAnswer(
            run=run,
            lease=lease,
            next_seq=claimed.next_seq,
            last_seq=claimed.row.last_seq,
            env_config=config,
        )
    )


async def patch(call: Call) -> Answer:
    run_id, change = call.id("run"), call.decode(_PATCH)
    principal, settings = call.principal, call.services.settings

    def work(tx: WriteTx) -> Run:
        return run_of(tx, runs.patch_run(tx, run_id, change, by=principal, settings=settings))

    try:
        return json(await call.services.writer.write(work))
    except RefusedError as error:
        if error.code == "lease_lost":
            log_fenced(call, run_id, error)
        raise


def log_fenced(call: Call, run_id: str, error: RefusedError) -> None:
    """One line and one count for a write by who no longer holds the run."""
    details = error.details or {}
    call.services.metrics.ingest.fenced()
    log(
        logger,
        logging.WARNING,
        "lease.fenced",
        "A write under an ended lease was refused",
        run_id=run_id,
        node_id=call.principal.node_id,
        epoch=details.get("epoch"),
        current_epoch=details.get("current_epoch"),
        reason=details.get("reason"),
    )


def _log_claim(run_id: str, request: ClaimRequest, epoch: int | None, outcome: str) -> None:
    log(
        logger,
        logging.INFO,
        "run.claim",
        "A node asked for a run",
        run_id=run_id,
        node_id=request.node_id[:128],
        epoch=epoch,
        outcome=outcome,
    )


def _row(tx: ReadTx, run_id: str) -> RunRow:
    row = tx.runs.get(run_id)
    if row is None:
        raise not_found("run")
    return row


ROUTES: Final = (
    Route(
        method="POST",
        path="/api/v1/tasks/{id}/runs",
        handler=create,
        summary="Queue a run of a task",
        body=RunRequest,
        answers={201: Run},
        errors=("invalid_field", "not_found", "idempotency_conflict"),
        idempotent=True,
    ),
    Route(
        method="GET",
        path="/api/v1/tasks/{id}/runs",
        handler=of_task,
        summary="Runs of a task, newest first",
        answers={200: RunList},
        errors=("invalid_parameter", "invalid_cursor", "not_found"),
        parameters=("limit", "cursor"),
    ),
    Route(
        method="GET",
        path="/api/v1/runs/{id}",
        handler=one,
        summary="Read a run",
        answers={200: Run},
        errors=("not_found",),
    ),
    Route(
        method="PATCH",
        path="/api/v1/runs/{id}",
        handler=patch,
        summary="Report a run's status",
        body=RunPatch,
        answers={200: Run},
        errors=("invalid_value", "not_your_run", "not_found", "invalid_transition", "lease_lost"),
    ),
    Route(
        method="POST",
        path="/api/v1/runs/{id}/cancel",
        handler=cancel,
        summary="Ask for a run's end",
        body=CancelRequest,
        answers={200: CancelAnswer},
        errors=("invalid_field", "not_found", "run_finished", "not_controllable"),
    ),
    Route(
        method="POST",
        path="/api/v1/runs/{id}/retry",
        handler=retry,
        summary="Queue an ended run again",
        body=RunRequest,
        answers={201: Run},
        errors=(
            "invalid_field",
            "not_found",
            "run_active",
            "not_controllable",
            "idempotency_conflict",
        ),
        idempotent=True,
    ),
    Route(
        method="POST",
        path="/api/v1/runs/{id}/claim",
        handler=claim,
        summary="Take an assigned run",
        body=ClaimRequest,
        answers={200: ClaimAnswer},
        errors=("invalid_field", "not_your_node", "not_found", "not_claimable"),
    ),
)
