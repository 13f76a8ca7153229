"""Who may write a run: claims, renewals, and what happens when a lease or a claim runs out.

Domain, over a transaction. A lease is (holder, epoch, expiry), judged by the server's clock; the
epoch is the fence `appends` checks. When a lease is looked at is decided in `sweeper`.
Source: contract 8.3, 11.2 and 17.
"""

from typing import Final, Literal

import msgspec

from runwatch_server import transitions
from runwatch_server.accounts import holding
from runwatch_server.calls import CallBook
from runwatch_server.ids import is_id
from runwatch_server.principals import Principal
from runwatch_server.rows import LeaseRow, RunRow, SourceRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import NodeId, ProcessId, QueueReasonCode, TerminalStatus
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import is_terminal
from runwatch_shared.wire import ClaimRequest

SECOND_US: Final = 1_000_000
RENEW_US: Final = SECOND_US
"""A lease renewed less than this ago is left as it is: the node's own margin is five times it."""
PLACING: Final = "waiting for the scheduler"

NotClaimable = Literal["not_assigned", "other_node", "other_process", "cancelled", "ended"]


class Claim(msgspec.Struct, frozen=True):
    """A claim that was granted, or had been; the holder writes on at ``next_seq``."""

    row: RunRow
    lease: LeaseRow
    next_seq: int


def claim(
    tx: WriteTx,
    run_id: str,
    request: ClaimRequest,
    *,
    by: Principal,
    settings: ServerSettings,
) -> Claim:
    """Give an assigned run to the process that asks for it (contract 11.2).

    The process that holds it gets the same answer again; another one of the same node that knows
    the current epoch (a restart) takes over with the next.

    Raises:
        RefusedError: 400, 403 ``not_your_node``, 404, 409 ``not_claimable``.
    """
    for field in ("node_id", "process_id"):
        if not is_id(getattr(request, field)):
            raise RefusedError("invalid_field", f"{field} is no id", field=field)
    by.check_node(request.node_id)
    row = tx.runs.get(run_id)
    if row is None:
        raise not_found("run")
    reason = _refusal(row, request)
    if reason is not None:
        raise _not_claimable(row, reason)
    if row.lease_kind is None:
        return _granted(tx, row, given(row), request, settings)
    if row.process_id == request.process_id:
        return Claim(row, renew(tx, row, settings=settings), row.last_seq + 1)
    return _granted(tx, row, row.epoch + 1, request, settings)


def given(row: RunRow) -> int:
    """The epoch of a run nobody holds, once it is given away.

    Taking a run from its holder moves the epoch on, so a taken run has one nobody ever held.
    """
    return max(row.epoch, 1)


def take_implicit(tx: WriteTx, row: RunRow, *, settings: ServerSettings) -> RunRow:
    """An assigned run as its node holds it without a claim (contract 17); the caller saves it."""
    epoch = given(row)
    _put(tx, row, epoch, settings)
    return _held(tx, msgspec.structs.replace(row, epoch=epoch, lease_kind="implicit"), settings)


def renew(tx: WriteTx, row: RunRow, *, settings: ServerSettings) -> LeaseRow:
    """Let the present holder go on for a whole TTL from now; a silent run is heard of again.

    Args:
        row: As stored now, with a lease that is explicit or implicit.
    """
    known = tx.leases.get(row.id)
    until_us = tx.now_us + settings.lease.ttl_s * SECOND_US
    if row.node_silent or row.lease_ended_us is not None:
        heard = msgspec.structs.replace(row, node_silent=False, lease_ended_us=None)
        transitions.change_run(tx, row, heard, settings=settings)
    if known is not None and known.epoch == row.epoch and known.expires_us > until_us - RENEW_US:
        return known
    return _put(tx, row, row.epoch, settings)


def take(row: RunRow) -> RunRow:
    """The run taken from its holder: its epoch is over. The caller saves it, which drops the lease.

    ``process_id`` stays: a run that ever had an explicit lease needs an epoch from every writer.
    """
    return msgspec.structs.replace(
        row, epoch=row.epoch + 1, lease_kind=None, node_silent=False, lease_ended_us=None
    )


def expire(tx: WriteTx, lease: LeaseRow, *, settings: ServerSettings) -> RunRow | None:
    """A lease ran out: the run stays with its node, its state unknown, until `lose` or a renewal.

    Returns:
        The run; None when the lease was of a holder that is gone.
    """
    row = tx.runs.get(lease.run_id)
    if row is None or row.lease_kind is None or row.epoch != lease.epoch:
        tx.leases.drop(lease.run_id)
        return None
    tx.leases.drop(lease.run_id)
    ended = msgspec.structs.replace(row, node_silent=True, lease_ended_us=lease.expires_us)
    return transitions.change_run(tx, row, ended, settings=settings)


def lose(tx: WriteTx, row: RunRow, *, settings: ServerSettings) -> RunRow:
    """A run whose holder did not come back in time: queued again if it may be, else failed."""
    if row.cancel is not None:
        return end_cancelled(tx, row, settings=settings)
    if row.retry_on_lost:
        return requeue(tx, row, code="placing", reason=PLACING, settings=settings)
    return transitions.end_run(
        tx,
        row,
        status="failed",
        reason="node_lost",
        error="its node did not come back",
        error_code="node_lost",
        settings=settings,
    )


def lapse(tx: WriteTx, row: RunRow, *, settings: ServerSettings) -> RunRow:
    """An assigned run nobody claimed in time: queued again, its node tried last for a while."""
    node = None if row.node_id is None else tx.nodes.get(row.node_id)
    if node is not None:
        tx.nodes.save(msgspec.structs.replace(node, lapsed_us=tx.now_us))
    waited_s = settings.lease.claim_s
    reason = f"{row.node_id} did not claim in {waited_s}s, trying again"
    return requeue(tx, row, code="unclaimed", reason=reason, settings=settings)


def end_cancelled(tx: WriteTx, row: RunRow, *, settings: ServerSettings) -> RunRow:
    """End a run whose cancel was not confirmed in time (contract 8.2)."""
    timed_out = row.cancel is not None and row.cancel.reason == "timeout"
    status: TerminalStatus = "timeout" if timed_out else "cancelled"
    return transitions.end_run(
        tx,
        row,
        status=status,
        reason="user" if row.cancel is None else row.cancel.reason,
        error="its deadline passed" if timed_out else "the node did not confirm the cancel",
        error_code="timeout" if timed_out else "cancel_unconfirmed",
        settings=settings,
    )


def requeue(
    tx: WriteTx,
    row: RunRow,
    *,
    code: QueueReasonCode,
    reason: str,
    settings: ServerSettings,
) -> RunRow:
    """Put an assigned or running run back into the queue, taken from whoever holds it.

    What the lost process had open is over: its calls close as unknown, its waits are dropped. The
    events stay; the next holder writes on behind them.
    """
    fold = tx.runs.fold(row.id)
    book = CallBook(
        fold,
        window=settings.health.looping_window,
        repeats=settings.health.looping_calls,
    )
    for call in list(book.open_calls):
        book.close(call, "unknown", at_us=tx.now_us)
    for step in book.steps.values():
        tx.runs.put_step(row.id, step)
    queued = msgspec.structs.replace(
        row if row.lease_kind is None else take(row),
        status="queued",
        node_id=None,
        assigned_us=None,
        claimed_us=None,
        started_us=None,
        deadline_us=None,
        progress=None,
        open_tools=0,
        wait=None,
        open_waits=0,
        waited_us=0,
        looping=None,
        burn=None,
        node_silent=False,
        lease_ended_us=None,
        queue_reason=reason,
        queue_reason_code=code,
        source=SourceRow(kind="scheduler", at_us=tx.now_us),
    )
    emptied = msgspec.structs.replace(
        fold, open_calls=[], recent_calls=[], waits=[], spent=[], tools=book.tools
    )
    return transitions.change_run(tx, row, queued, settings=settings, run_fold=emptied)


def _refusal(row: RunRow, request: ClaimRequest) -> NotClaimable | None:
    """Why a claim is refused; None where it is not."""
    if is_terminal(row.status):
        return "cancelled" if row.status == "cancelled" else "ended"
    if row.status == "queued" or row.lease_kind == "external":
        return "not_assigned"
    if row.node_id != request.node_id:
        return "other_node"
    if row.lease_kind is None:
        stale = request.epoch is not None and 0 < row.epoch != request.epoch
        return "other_process" if stale else None
    if row.lease_kind == "explicit" and row.process_id == request.process_id:
        return None
    return None if request.epoch == row.epoch else "other_process"


def _not_claimable(row: RunRow, reason: NotClaimable) -> RefusedError:
    details: dict[str, str] = {"status": row.status, "reason": reason}
    if row.node_id is not None:
        details["node_id"] = row.node_id
    return RefusedError("not_claimable", "the run cannot be claimed", details=details)


def _granted(
    tx: WriteTx, row: RunRow, epoch: int, request: ClaimRequest, settings: ServerSettings
) -> Claim:
    claimed = msgspec.structs.replace(
        row,
        epoch=epoch,
        lease_kind="explicit",
        process_id=ProcessId(request.process_id),
        node_silent=False,
        lease_ended_us=None,
    )
    saved = transitions.change_run(tx, row, _held(tx, claimed, settings), settings=settings)
    if saved.account_id is not None:
        holding.used(tx, saved.account_id)
    return Claim(saved, _put(tx, saved, epoch, settings), saved.last_seq + 1)


def _held(tx: WriteTx, row: RunRow, settings: ServerSettings) -> RunRow:
    """The run with the moments its first claim sets; a restart keeps them (contract 8.2).

    A run that a node found was never claimed and has no deadline (contract 11.3).
    """
    if row.claimed_us is not None or row.origin == "found":
        return row
    timeout_s = row.timeout_s or settings.default_timeout_s
    return msgspec.structs.replace(
        row, claimed_us=tx.now_us, deadline_us=tx.now_us + timeout_s * SECOND_US
    )


def _put(tx: WriteTx, row: RunRow, epoch: int, settings: ServerSettings) -> LeaseRow:
    lease = LeaseRow(
        run_id=row.id,
        epoch=epoch,
        node_id=NodeId(row.node_id or ""),
        expires_us=tx.now_us + settings.lease.ttl_s * SECOND_US,
    )
    tx.leases.put(lease)
    return lease
