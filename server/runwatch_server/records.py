"""Rows as the wire shows them: the run, task, node, event and workflow records; pure.

Source: contract section 5. A workflow summary is a function of its row alone, so that a list, a
feed and a resumed feed cannot differ.
"""

from typing import Final

import msgspec

from runwatch_server import ledger, standing
from runwatch_server.accounting import BURN_WINDOW_S
from runwatch_server.rows import (
    BurnRow,
    CancelRow,
    EventRow,
    LeaseRow,
    NodeRow,
    RunRow,
    SpecRow,
    SpoolRow,
    TaskRow,
    UsageRow,
)
from runwatch_shared.models import (
    NO_PAYLOAD,
    Burn,
    Cancel,
    Capacity,
    Event,
    EventView,
    Lease,
    Node,
    Run,
    RunId,
    Snapshot,
    Spool,
    StatusSource,
    Task,
    TaskRuns,
    Usage,
    Waiting,
    WorkflowSummary,
)
from runwatch_shared.states import is_terminal
from runwatch_shared.timestamps import format_optional_time, format_time

HIDDEN: Final = "***"
SUMMARY_ERROR_CHARS: Final = 500


def usage_record(row: UsageRow | None) -> Usage | None:
    """None where nothing was ever reported."""
    if row is None:
        return None
    return Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        total_tokens=row.total_tokens,
        cost_usd=row.cost_usd,
        cost_source=row.cost_source,
        partial=row.partial,
        model=row.model,
        reasoning_tokens=row.reasoning_tokens,
        context_tokens=row.context_tokens,
        context_limit=row.context_limit,
        as_of=format_time(row.as_of_us),
    )


def run_record(row: RunRow, spec: SpecRow, lease: LeaseRow | None, *, show_env: bool) -> Run:
    """A run (contract 5.3).

    Args:
        lease: What `LeaseReads.get` gives; only its expiry is used, while the run is held.
        show_env: Whether ``env`` values are shown: only to the node that executes it.
    """
    return Run(
        id=row.id,
        task_id=row.task_id,
        attempt=row.attempt,
        status=row.status,
        origin=row.origin,
        controllable=standing.is_controllable(row),
        agent_type=row.agent_type,
        node_id=row.node_id,
        parent_id=row.parent_id,
        labels=row.labels,
        priority=row.priority,
        timeout_s=row.timeout_s,
        retry_on_lost=row.retry_on_lost,
        created_at=format_time(row.created_us),
        assigned_at=format_optional_time(row.assigned_us),
        claimed_at=format_optional_time(row.claimed_us),
        started_at=format_optional_time(row.started_us),
        finished_at=format_optional_time(row.finished_us),
        deadline_at=format_optional_time(row.deadline_us),
        updated_at=format_time(row.updated_us),
        lease=_lease(row, None if lease is None else lease.expires_us),
        cancel=_cancel(row.cancel),
        exit_code=row.exit_code,
        error=row.error,
        error_code=row.error_code,
        first_seq=row.first_seq,
        last_seq=row.last_seq,
        event_count=row.event_count,
        seq_holes=row.seq_holes,
        usage=usage_record(row.usage),
        tool_calls=row.tool_calls,
        tool_failures=row.tool_failures,
        model=row.model,
        agent_session_id=row.agent_session_id,
        revision=row.revision,
        snapshot=Snapshot(
            task_id=spec.task_id,
            name=spec.name,
            agent=spec.agent,
            prompt=spec.prompt,
            workspace=spec.workspace,
            labels=spec.labels,
            timeout_s=spec.timeout_s,
            env=_env(spec.env, show=show_env),
        ),
    )


def task_record(row: TaskRow) -> Task:
    """A task (contract 5.2); ``env`` without its values."""
    return Task(
        id=row.id,
        name=row.name,
        description=row.description,
        status=row.status,
        type=row.agent.type,
        agent=row.agent,
        agent_id=row.agent.instance_id,
        prompt=row.prompt,
        labels=row.labels,
        workspace=row.workspace,
        constraints=row.constraints,
        timeout_s=row.timeout_s,
        priority=row.priority,
        retry_on_lost=row.retry_on_lost,
        env=_env(row.env, show=False),
        context=row.context,
        security=row.security,
        template_id=row.template_id,
        parent_id=row.parent_id,
        runs=TaskRuns(
            total=row.runs_total,
            active=row.runs_active,
            last_run_id=row.last_run_id,
            last_status=row.last_run_status,
        ),
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
        revision=row.revision,
    )


def node_record(row: NodeRow) -> Node:
    """A node (contract 5.5)."""
    capacity = row.capacity
    return Node(
        id=row.id,
        display_name=row.display_name,
        hostname=row.hostname,
        ips=row.ips,
        labels=row.labels,
        version=row.version,
        started_at=format_optional_time(row.started_us),
        status=row.status,
        admin_status=row.admin_status,
        last_heartbeat=format_optional_time(row.last_heartbeat_us),
        offline_since=format_optional_time(row.offline_since_us),
        clock_skew_ms=row.clock_skew_ms,
        capacity=Capacity(
            max_concurrent=row.max_concurrent,
            available=max(0, capacity - row.allocated) if row.available is None else row.available,
        ),
        max_concurrent_override=row.max_concurrent_override,
        allocated=row.allocated,
        ledger=ledger.ledger_record(row),
        agents=row.agents,
        spool=_spool(row.spool),
        logins=row.logins,
        runtimes=row.runtimes,
        active_runs=row.active_runs,
        created_at=format_time(row.created_us),
        updated_at=format_time(row.updated_us),
        revision=row.revision,
    )


def event_record(run_id: str, row: EventRow, *, raw: bool) -> Event:
    """An event (contract 5.4); ``raw`` only where it was asked for."""
    return Event(
        id=row.seq,
        run_id=RunId(run_id),
        seq=row.seq,
        epoch=row.epoch,
        type=row.type,
        timestamp=format_time(row.at_us),
        received_at=format_time(row.received_us),
        level=row.level,
        payload=NO_PAYLOAD if row.payload is None else msgspec.Raw(row.payload),
        raw=row.raw if raw else None,
    )


def event_view(run_id: str, row: EventRow, *, producer_id: str, raw: bool) -> EventView:
    """An event as the monitor shows it; ``data`` is the payload again (contract 5.4)."""
    payload = NO_PAYLOAD if row.payload is None else msgspec.Raw(row.payload)
    return EventView(
        id=f"{run_id}:{row.seq}",
        run_id=RunId(run_id),
        seq=row.seq,
        epoch=row.epoch,
        type=row.type,
        timestamp=format_time(row.at_us),
        received_at=format_time(row.received_us),
        level=row.level,
        payload=payload,
        data=payload,
        raw=row.raw if raw else None,
        producer_id=producer_id,
    )


def producer_of(run: RunRow, event: EventRow) -> str:
    """The node that reported an event, ``server`` for its own, ``""`` for an outside reporter."""
    if event.payload is not None and event.type == "run_completed" and _BY_SERVER in event.payload:
        return "server"
    return run.node_id or ""


_BY_SERVER: Final = b'"by":"server"'


def summary(row: RunRow) -> WorkflowSummary:
    """A run as a row of the monitor (contract 5.6). Its lease is shown without the expiry, which
    moves with each renewal and would make every row change with every heartbeat."""
    return WorkflowSummary(
        id=row.id,
        type="run",
        name=row.name,
        state=standing.state_of(row),
        progress=standing.progress_of(row),
        status=row.status,
        cancelling=row.cancel is not None and not is_terminal(row.status),
        event_count=row.event_count,
        last_seq=row.last_seq,
        start_time=format_time(row.created_us),
        started_at=format_optional_time(row.started_us),
        end_time=format_optional_time(row.finished_us),
        update_time=format_time(row.updated_us),
        duration_ms=standing.duration_ms(row),
        queue_wait_ms=standing.queue_wait_ms(row),
        last_activity_at=format_optional_time(row.last_activity_us),
        activity_text=row.activity_text,
        node_id=row.node_id,
        agent_type=row.agent_type,
        task_id=row.task_id,
        task_name=row.name,
        account_id=row.account_id,
        labels=row.labels,
        error=None if row.error is None else _shortened(row.error),
        error_code=row.error_code,
        exit_code=row.exit_code,
        health=row.health,
        health_reason=row.health_reason,
        health_since=format_optional_time(row.health_since_us),
        waiting=_waiting(row),
        queue_reason=row.queue_reason if row.status == "queued" else None,
        queue_reason_code=row.queue_reason_code if row.status == "queued" else None,
        usage=usage_record(row.usage),
        burn=_burn(row.burn),
        tool_calls=row.tool_calls,
        tool_failures=row.tool_failures,
        open_tools=row.open_tools,
        revision=row.revision,
        lease=_lease(row, None),
        status_source=_source(row),
        attention=standing.attention_of(row),
        metadata={"task_id": row.task_id},
    )


def _source(row: RunRow) -> StatusSource:
    """Who said the state and when; of an unknown one, since when the node is silent."""
    if standing.state_of(row) == "unknown":
        since_us = row.updated_us if row.silent_since_us is None else row.silent_since_us
        return StatusSource(kind="inferred", at=format_time(since_us), note="node silent")
    source = row.source
    return StatusSource(kind=source.kind, at=format_time(source.at_us), note=source.note)


def _lease(row: RunRow, expires_us: int | None) -> Lease | None:
    if row.lease_kind is None:
        return None
    return Lease(
        kind=row.lease_kind,
        epoch=row.epoch,
        node_id=row.node_id,
        expires_at=format_optional_time(expires_us),
    )


def _cancel(row: CancelRow | None) -> Cancel | None:
    if row is None:
        return None
    return Cancel(
        requested_at=format_time(row.requested_us),
        reason=row.reason,
        by=row.by,
        note=row.note,
        delivered_at=format_optional_time(row.delivered_us),
    )


def _waiting(row: RunRow) -> Waiting | None:
    wait = row.wait
    if wait is None or is_terminal(row.status):
        return None
    return Waiting(
        kind=wait.kind,
        since=format_time(wait.since_us),
        prompt=wait.prompt,
        deadline=format_optional_time(wait.deadline_us),
        on_expiry=wait.on_expiry,
        seq=wait.seq,
        open=row.open_waits,
        holds_slot=standing.holds_slot(row),
    )


def _burn(row: BurnRow | None) -> Burn | None:
    if row is None:
        return None
    return Burn(
        cost_usd_per_h=row.cost_usd_per_h,
        tokens_per_min=row.tokens_per_min,
        window_s=BURN_WINDOW_S,
        as_of=format_time(row.as_of_us),
    )


def _spool(row: SpoolRow | None) -> Spool | None:
    if row is None:
        return None
    return Spool(
        events=row.events,
        bytes=row.bytes,
        limit_bytes=row.limit_bytes,
        oldest_at=format_optional_time(row.oldest_us),
    )


def _env(env: dict[str, str] | None, *, show: bool) -> dict[str, str] | None:
    if env is None or show:
        return env
    return dict.fromkeys(env, HIDDEN)


def _shortened(text: str) -> str:
    return text if len(text) <= SUMMARY_ERROR_CHARS else text[: SUMMARY_ERROR_CHARS - 1] + "…"
