"""Log lines about runs, leases and nodes, written from commits: what is in the log is in the store.

What a request did or was refused is logged where it is answered, with its id. Source: contract 16.
"""

import logging
from typing import Final

from runwatch_server import standing
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.storage.protocols import Commit
from runwatch_shared.logins import AUTH_FAILED
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

SERVER: Final = "server"


def on_commit(commit: Commit) -> None:
    """Write the lines of one commit; a listener of the writer."""
    for run in commit.runs:
        if run.before is not None and run.after is not None:
            _of_run(run.before, run.after, commit.at_us)
    for kept in commit.kept:
        if isinstance(kept.after, ActionRow):
            _of_login(kept.before if isinstance(kept.before, ActionRow) else None, kept.after)
        elif isinstance(kept.after, AccountRow) and isinstance(kept.before, AccountRow):
            _of_account(kept.before, kept.after)
    for node in commit.nodes:
        if node.before is not None and node.after is not None:
            _of_node(node.before, node.after)


def _of_run(before: RunRow, after: RunRow, at_us: int) -> None:
    if after.cancel is not None and before.cancel is None and after.cancel.by == SERVER:
        log(
            logger,
            logging.INFO,
            "run.cancel",
            "Run is to be cancelled",
            run_id=after.id,
            node_id=after.node_id,
            reason=after.cancel.reason,
            by=after.cancel.by,
        )
    if after.lease_kind == "implicit" and before.lease_kind is None:
        log(
            logger,
            logging.INFO,
            "run.claim",
            "Run is held without a claim",
            run_id=after.id,
            node_id=after.node_id,
            epoch=after.epoch,
            outcome="implicit",
            duration_ms=standing.queue_wait_ms(after),
        )
    if after.lease_ended_us is not None and before.lease_ended_us is None:
        log(
            logger,
            logging.WARNING,
            "lease.expired",
            "Lease ran out",
            run_id=after.id,
            node_id=after.node_id,
            epoch=after.epoch,
            outcome="to be queued again" if after.retry_on_lost else "kept",
        )
    if after.seq_holes > before.seq_holes:
        log(
            logger,
            logging.INFO,
            "events.gap",
            "Numbers were left out",
            run_id=after.id,
            node_id=after.node_id,
            count=after.seq_holes - before.seq_holes,
            last_seq=after.last_seq,
        )
    if before.health != after.health:
        log(
            logger,
            logging.INFO,
            "health",
            "Health changed",
            run_id=after.id,
            node_id=after.node_id,
            health=after.health,
            previous=before.health,
            reason=after.health_reason,
        )
    if before.status != after.status:
        _of_status(before, after, at_us)


def _of_status(before: RunRow, after: RunRow, at_us: int) -> None:
    if after.status == "assigned":
        log(
            logger,
            logging.INFO,
            "scheduler",
            "Run assigned",
            run_id=after.id,
            node_id=after.node_id,
            queue_wait_ms=(at_us - after.created_us) // 1000,
        )
    lost = after.status == "queued" or after.error_code == "node_lost"
    if lost:
        unclaimed = before.lease_kind is None
        log(
            logger,
            logging.WARNING,
            "run.lost",
            "Run came back from its node",
            run_id=after.id,
            node_id=before.node_id,
            epoch=before.epoch,
            current_epoch=after.epoch,
            reason="unclaimed" if unclaimed else "node_lost",
            outcome="requeued" if after.status == "queued" else "failed",
        )
    log(
        logger,
        logging.INFO,
        "run.status",
        "Run changed status",
        run_id=after.id,
        node_id=after.node_id,
        epoch=after.epoch,
        from_=before.status,
        to=after.status,
        exit_code=after.exit_code,
        code=after.error_code,
        duration_ms=standing.duration_ms(after),
    )


def _of_login(before: ActionRow | None, after: ActionRow) -> None:
    if before is not None and (before.status, before.phase) == (after.status, after.phase):
        return
    moved = before is None or before.status != after.status
    log(
        logger,
        logging.INFO if moved else logging.DEBUG,
        "operation",
        "A login was begun" if before is None else "A login moved on",
        id=after.operation_id,
        action=after.phase,
        from_=None if before is None else before.status,
        to=after.status,
        node_id=after.node_id,
        agent_type=after.agent_type,
        by=after.source.note,
        duration_ms=None
        if after.finished_us is None
        else (after.finished_us - after.created_us) // 1000,
    )


def _of_account(before: AccountRow, after: AccountRow) -> None:
    if before.status == after.status:
        return
    refused = after.status == "expired" and after.last_401_us != before.last_401_us
    log(
        logger,
        logging.WARNING if after.status == "expired" else logging.INFO,
        "operation",
        "A login is no longer accepted" if after.status == "expired" else "An account changed",
        id=after.id,
        from_=before.status,
        to=after.status,
        agent_type=after.agent_type,
        code=AUTH_FAILED if refused else None,
    )


def _of_node(before: NodeRow, after: NodeRow) -> None:
    if after.status == "offline" and before.status != "offline":
        log(
            logger,
            logging.WARNING,
            "node.heartbeat",
            "Node is offline",
            node_id=after.id,
            status=after.status,
            running=after.active_runs,
            capacity=after.capacity,
        )
