"""Nodes: what a heartbeat does, what a node is told, and what administrators set.

Domain, over a transaction. What a heartbeat may say is in `node_reports`; leases are in `leases`.
Source: contract 5.5, 11.1 and 17.
"""

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import UNSET

from runwatch_server import checks, leases, ledger, node_reports, runs, standing, transitions
from runwatch_server.accounts import holding, life
from runwatch_server.instances import life as instances
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.principals import Principal
from runwatch_server.proxies.rows import EnvConfigRow
from runwatch_server.rows import LeaseRow, NodeRow, RunRow
from runwatch_server.storage.protocols import NodeReads, ReadTx, RunReads, WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import AdminStatus, RunId
from runwatch_shared.settings import ServerSettings
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    Directives,
    GrantedLease,
    Heartbeat,
    HeartbeatAnswer,
    NodePatch,
)

SECOND_US: Final = 1_000_000
NAME_CHARS: Final = 200
STOP_AFTER_RANGE_S: Final = (0, 604_800)

_ADMIN_STATUS: Final[dict[str, AdminStatus]] = {
    "active": "active",
    "online": "active",
    "draining": "draining",
    "maintenance": "maintenance",
}


class FleetReads(Protocol):
    """What directives are read from: either kind of transaction."""

    @property
    def runs(self) -> RunReads: ...
    @property
    def nodes(self) -> NodeReads: ...


def heartbeat(
    tx: WriteTx, beat: Heartbeat, *, by: Principal, settings: ServerSettings
) -> HeartbeatAnswer:
    """Take in what a node says of itself and its runs, and tell it what to do (contract 11.1).

    Raises:
        RefusedError: 400, 403 ``not_your_node``, 409 ``node_conflict`` or ``node_deleted``.
    """
    node_reports.check_heartbeat(beat, settings)
    by.check_node(beat.node_id)
    before = tx.nodes.get(beat.node_id)
    _refuse_replaced(tx, before, beat, settings)
    active = {row.id: row for row in tx.runs.active_on(beat.node_id)}
    after = node_reports.row_after(before, beat, tx.now_us)
    after = tx.nodes.save(ledger.reported(after, beat, active, tx.runs, tx.now_us))
    holding.take_in(tx, before, after)
    if after.status != "online" and (before is None or before.status == "online"):
        release_unclaimed(tx, after.id, settings=settings)
        active = {row.id: row for row in tx.runs.active_on(after.id)}
    granted = _renew(tx, beat, active, settings)
    lost = [run_id for run_id in _named(beat) if _is_lost(run_id, beat, active)]
    for row in active.values():
        if row.node_silent and row.lease_ended_us is None and row.id not in granted:
            _hear(tx, row, settings)
    if any(_is_to_cancel(row) for row in active.values()):
        directives = deliver(tx, after.id, lost, settings=settings)
    else:
        directives = _directives(after, [], lost)
    if beat.runs is None and beat.running_runs is not None:
        both = [*directives.cancel_runs, *directives.lost_runs]
        directives = msgspec.structs.replace(directives, cancel_runs=list(dict.fromkeys(both)))
    return HeartbeatAnswer(
        status="ok",
        server_time=format_time(tx.now_us),
        interval_s=node_reports.heartbeat_interval_s(settings.lease),
        leases=[
            GrantedLease(
                run_id=RunId(lease.run_id),
                epoch=lease.epoch,
                expires_at=format_time(lease.expires_us),
                ttl_s=settings.lease.ttl_s,
            )
            for lease in granted.values()
        ],
        directives=directives,
    )


def directives_of(tx: FleetReads, node_id: str, lost: Collection[str] = ()) -> Directives:
    """What a node is to do: cancels of the runs it holds, the runs it lost, whether to drain.

    Args:
        lost: Runs known to be lost to it; the store cannot tell them.
    """
    cancelled = [row for row in tx.runs.active_on(node_id) if _is_to_cancel(row)]
    return _directives(tx.nodes.get(node_id), cancelled, lost)


def deliver(
    tx: WriteTx, node_id: str, lost: Sequence[str] = (), *, settings: ServerSettings
) -> Directives:
    """`directives_of`, and the first time a cancel is among them its grace begins."""
    for row in tx.runs.active_on(node_id):
        if _is_to_cancel(row) and row.cancel is not None and row.cancel.delivered_us is None:
            told = msgspec.structs.replace(row.cancel, delivered_us=tx.now_us)
            after = msgspec.structs.replace(row, cancel=told)
            transitions.change_run(tx, row, after, settings=settings)
    return directives_of(tx, node_id, lost)


def patch_node(tx: WriteTx, node_id: str, patch: NodePatch, *, settings: ServerSettings) -> NodeRow:
    """Set what an administrator may set; it survives heartbeats.

    Raises:
        RefusedError: 400 naming the field, 404, 409 ``name_taken``.
    """
    node = stored_node(tx, node_id)
    if patch.display_name is not UNSET:
        _check_name(tx, node, patch.display_name)
        node = msgspec.structs.replace(node, display_name=patch.display_name)
    if patch.labels is not UNSET:
        labels = {**node.set_labels, **patch.labels}
        checks.check_labels(labels, settings.limits)
        node = msgspec.structs.replace(node, set_labels=labels)
    if patch.max_concurrent_override is not UNSET:
        _check_slots(patch.max_concurrent_override)
        node = msgspec.structs.replace(node, max_concurrent_override=patch.max_concurrent_override)
    if patch.status is not UNSET:
        status = _ADMIN_STATUS[patch.status]
        stop_after_us = node.stop_after_us if status == node.admin_status else None
        node = msgspec.structs.replace(node, admin_status=status, stop_after_us=stop_after_us)
    return _save_set(tx, node, settings)


def drain_node(
    tx: WriteTx,
    node_id: str,
    *,
    stop_after_s: int | None,
    by_name: str,
    settings: ServerSettings,
) -> NodeRow:
    """Give the node no more runs; what it has not claimed goes back to the queue.

    Args:
        stop_after_s: After this many seconds its runs are cancelled, reason ``node_drain``; None
            lets them end by themselves.
    """
    node = stored_node(tx, node_id)
    low, high = STOP_AFTER_RANGE_S
    if stop_after_s is not None and not low <= stop_after_s <= high:
        raise RefusedError(
            "invalid_field",
            f"stop_after_s must be {low} to {high}",
            field="stop_after_s",
            details={"min": low, "max": high},
        )
    stop_us = None if stop_after_s is None else tx.now_us + stop_after_s * SECOND_US
    drained = msgspec.structs.replace(node, admin_status="draining", stop_after_us=stop_us)
    drained = _save_set(tx, drained, settings)
    if stop_after_s == 0:
        return stop_runs(tx, drained, by_name=by_name, settings=settings)
    return drained


def resume_node(tx: WriteTx, node_id: str, *, settings: ServerSettings) -> NodeRow:
    """Let the node take runs again; runs cancelled meanwhile stay cancelled."""
    node = stored_node(tx, node_id)
    return _save_set(
        tx, msgspec.structs.replace(node, admin_status="active", stop_after_us=None), settings
    )


def delete_node(tx: WriteTx, node_id: str) -> None:
    """Forget a node that has no active runs; the process that beat last is told so (11.1).

    Raises:
        RefusedError: 404, 409 ``in_use`` with ``details.run_ids`` or ``details.instance_ids``.
    """
    node = stored_node(tx, node_id)
    active = tx.runs.active_on(node_id)
    if active:
        raise RefusedError(
            "in_use", "the node has active runs", details={"run_ids": [row.id for row in active]}
        )
    instances.refuse_in_use(tx.kept(InstanceRow), node_id=node_id)
    instances.forget_deleted(tx, node_id)
    life.forget_node(tx, node)
    tx.kept(EnvConfigRow).delete(node_id)
    tx.nodes.delete(stored_node(tx, node_id))


def stop_runs(tx: WriteTx, node: NodeRow, *, by_name: str, settings: ServerSettings) -> NodeRow:
    """Cancel what still runs on a drained node, reason ``node_drain``; once for each drain."""
    for row in tx.runs.active_on(node.id):
        if standing.is_controllable(row) and row.cancel is None:
            runs.cancel_run(
                tx, row.id, reason="node_drain", by_name=by_name, note=None, settings=settings
            )
    latest = stored_node(tx, node.id)
    return tx.nodes.save(msgspec.structs.replace(latest, stop_after_us=None))


def go_offline(tx: WriteTx, node: NodeRow, *, settings: ServerSettings) -> NodeRow:
    """A node fell silent: its runs' state is unknown, what it did not claim is queued again."""
    saved = tx.nodes.save(
        msgspec.structs.replace(
            node, status="offline", offline_since_us=tx.now_us, updated_us=tx.now_us
        )
    )
    release_unclaimed(tx, node.id, settings=settings)
    for row in tx.runs.active_on(node.id):
        if not row.node_silent:
            silent = msgspec.structs.replace(row, node_silent=True)
            transitions.change_run(tx, row, silent, settings=settings)
    return tx.nodes.get(node.id) or saved


def release_unclaimed(tx: WriteTx, node_id: str, *, settings: ServerSettings) -> None:
    """Put back into the queue what was assigned to the node and not claimed (contract 8.2)."""
    for row in tx.runs.active_on(node_id):
        if row.status == "assigned" and row.lease_kind is None:
            leases.requeue(tx, row, code="placing", reason=leases.PLACING, settings=settings)


def stored_node(tx: WriteTx, node_id: str) -> NodeRow:
    """The node, or the 404."""
    node = tx.nodes.get(node_id)
    if node is None:
        raise not_found("node")
    return node


def refuse_deleted(tx: ReadTx, node_id: str) -> None:
    """The 404 for a node that was deleted; one that was never heard of only has nothing yet."""
    if tx.nodes.get(node_id) is None and tx.nodes.deleted_process(node_id) is not None:
        raise not_found("node")


def _directives(
    node: NodeRow | None, cancelled: Sequence[RunRow], lost: Collection[str]
) -> Directives:
    return Directives(
        cancel_runs=[row.id for row in cancelled],
        cancel_reasons={row.id: row.cancel.reason for row in cancelled if row.cancel},
        lost_runs=[RunId(run_id) for run_id in lost],
        drain=node is not None and node.admin_status != "active",
        proxy_tests=node.proxy_tests or None if node is not None else None,
    )


def _refuse_replaced(
    tx: WriteTx, node: NodeRow | None, beat: Heartbeat, settings: ServerSettings
) -> None:
    """409 for a process that must exit: its node was deleted, or a newer process has its id."""
    if node is None:
        if beat.process_id is not None and beat.process_id == tx.nodes.deleted_process(
            beat.node_id
        ):
            raise RefusedError("node_deleted", "this node was deleted; start it anew to register")
    elif node_reports.conflicts(node, beat, tx.now_us, settings):
        raise RefusedError(
            "node_conflict",
            "a newer process has this node id",
            details={"process_id": node.process_id},
        )


def _renew(
    tx: WriteTx, beat: Heartbeat, active: dict[RunId, RunRow], settings: ServerSettings
) -> dict[str, LeaseRow]:
    """Renew the leases of the runs a heartbeat names, each with its epoch, or takes (17)."""
    granted: dict[str, LeaseRow] = {}
    for reported in beat.runs or []:
        row = active.get(RunId(reported.id))
        if row is not None and row.lease_kind is not None and row.epoch == reported.epoch:
            granted[row.id] = leases.renew(tx, row, settings=settings)
    for run_id in beat.running_runs or []:
        row = active.get(RunId(run_id))
        if row is None or row.id in granted:
            continue
        if row.lease_kind == "implicit":
            granted[row.id] = leases.renew(tx, row, settings=settings)
        elif row.lease_kind is None and row.process_id is None:
            taken = leases.take_implicit(tx, row, settings=settings)
            saved = transitions.change_run(tx, row, taken, settings=settings)
            granted[row.id] = leases.renew(tx, saved, settings=settings)
    return granted


def _named(beat: Heartbeat) -> list[str]:
    """The runs a heartbeat names, each once."""
    explicit = [reported.id for reported in beat.runs or []]
    return list(dict.fromkeys([*explicit, *(beat.running_runs or [])]))


def _is_lost(run_id: str, beat: Heartbeat, active: dict[RunId, RunRow]) -> bool:
    """Whether the node names a run it does not hold: elsewhere, ended, deleted or never known."""
    row = active.get(RunId(run_id))
    if row is None:
        return True
    epochs = [reported.epoch for reported in beat.runs or [] if reported.id == run_id]
    if not epochs or (row.lease_kind is None and row.epoch == 0):
        return False
    return row.lease_kind is None or row.epoch not in epochs


def _hear(tx: WriteTx, row: RunRow, settings: ServerSettings) -> None:
    """The node speaks again; the run's lease has not run out meanwhile."""
    heard = msgspec.structs.replace(row, node_silent=False)
    transitions.change_run(tx, row, heard, settings=settings)


def _is_to_cancel(row: RunRow) -> bool:
    return row.cancel is not None and row.lease_kind is not None


def _save_set(tx: WriteTx, node: NodeRow, settings: ServerSettings) -> NodeRow:
    """Save what was set; a node that takes no more runs gives back what it has not claimed."""
    # Only a heartbeat ends being offline, and only the sweeper begins it.
    status = "offline" if node.status == "offline" else node_reports.spoken_status(node)
    saved = tx.nodes.save(msgspec.structs.replace(node, status=status, updated_us=tx.now_us))
    if saved.admin_status != "active":
        release_unclaimed(tx, saved.id, settings=settings)
    return tx.nodes.get(saved.id) or saved


def _check_name(tx: WriteTx, node: NodeRow, name: str | None) -> None:
    if name is None:
        return
    checks.check_text(name, "display_name", NAME_CHARS)
    others = (other for other in tx.nodes.all() if other.id != node.id)
    if any(name in {other.display_name, other.id} for other in others):
        raise RefusedError("name_taken", "another node has this name", field="display_name")


def _check_slots(slots: int | None) -> None:
    if slots is not None and not 0 <= slots <= node_reports.MOST_SLOTS:
        raise RefusedError(
            "invalid_field",
            "max_concurrent_override does not fit",
            field="max_concurrent_override",
            details={"min": 0, "max": node_reports.MOST_SLOTS},
        )
