"""Whether a batch of events may be appended to a run, and appending it (contract 9.1).

`prepare` needs no store and runs before the writer; `append` runs in its transaction and judges in
the order of the contract.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

import msgspec

from runwatch_server import fold, leases, payloads, transitions
from runwatch_server.otlp import takeover
from runwatch_server.principals import Principal
from runwatch_server.rows import EventRow, LeaseRow, RunRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.errors import RefusedError, not_found
from runwatch_shared.models import Level
from runwatch_shared.settings import Limits, ServerSettings
from runwatch_shared.states import EVENT_TYPES, is_terminal
from runwatch_shared.timestamps import format_time, parse_time
from runwatch_shared.wire import EventBatch, EventInput, EventsAnswer, LeaseState

MOST_SEQ: Final = 2**53 - 1
"""Exact in every reader of JSON, and well within what the store holds."""
REFUSALS: Final = (
    "missing_field",
    "invalid_field",
    "invalid_value",
    "not_your_run",
    "not_found",
    "lease_lost",
    "lease_required",
    "run_finished",
    "seq_conflict",
    "batch_too_large",
    "event_too_large",
)
"""Codes a well-formed body may be refused with (contract 9.1)."""
_KNOWN_TYPES: Final = frozenset(EVENT_TYPES)
_OWN_TYPE: Final = re.compile(r"x_[a-z0-9_]{1,62}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_USUAL_TIME_CHARS: Final = len("2026-11-23T10:31:22.000000Z")
_OPENING_BRACE: Final = ord("{")
_LEVELLED: Final = payloads.DECIDED_BY_PAYLOAD | {
    "command_output",
    "run_failed",
    "warning",
    "approval_request",
}
"""Types whose level can be other than info."""
_ENDS: Final = frozenset({"run_completed", "run_failed"})


class Prepared(msgspec.Struct, frozen=True):
    """A batch that is well formed; ``epoch`` is None where the reporter sent none."""

    events: list[EventRow]
    epoch: int | None


def prepare(batch: EventBatch, *, limits: Limits, now_us: int) -> Prepared:
    """Check a batch by itself and make its rows, received at ``now_us``.

    Raises:
        RefusedError: 400 naming ``events[i].<field>``; 413 for too many events or one too big.
    """
    if not batch.events:
        raise RefusedError("invalid_field", "events must not be empty", field="events")
    if len(batch.events) > limits.batch_events:
        raise RefusedError(
            "batch_too_large",
            "too many events in a batch",
            field="events",
            details={"max": limits.batch_events},
        )
    epoch = batch.epoch or 0
    before = 0
    rows: list[EventRow] = []
    for index, event in enumerate(batch.events):
        if not before < event.seq <= MOST_SEQ:
            _refuse(index, "seq", f"must be from 1 to {MOST_SEQ} and rising")
        before = event.seq
        rows.append(_row(index, event, epoch, limits.event_bytes, now_us))
    for index, row in enumerate(rows[:-1]):
        if row.type in _ENDS and fold.is_end(row):
            _refuse(index + 1, "type", "nothing may follow the event that ends a run")
    return Prepared(rows, batch.epoch)


def append(
    tx: WriteTx,
    run_id: str,
    batch: Prepared,
    *,
    by: Principal,
    settings: ServerSettings,
) -> EventsAnswer:
    """Append what is new of a batch, all or nothing.

    Raises:
        RefusedError: 404, 403 ``not_your_run``, 409 ``lease_lost``, ``lease_required``,
            ``run_finished`` or ``seq_conflict``, in the order of contract 9.1.
    """
    row = tx.runs.get(run_id)
    if row is None:
        raise not_found("run")
    check_held(row, by)
    events = batch.events
    from_holder = batch.epoch in {None, row.epoch} and not is_terminal(row.status)
    known = _stored_part(tx, row, events, from_holder=from_holder)
    if known == len(events) and _under_epoch(tx, row, batch):
        return _answer(tx, row, created=0, duplicates=known)
    held = _holder(tx, row, batch, by=by, settings=settings)
    if is_terminal(row.status):
        raise RefusedError(
            "run_finished",
            "the run has ended",
            details={
                "status": row.status,
                "finished_at": format_time(row.finished_us or row.updated_us),
                "last_seq": row.last_seq,
            },
        )
    new = events[known:]
    if not new:
        _renew(tx, held, settings)
        return _answer(tx, held, created=0, duplicates=known)
    if new[0].seq <= row.last_seq:
        raise _conflict(tx, row, new[0])
    if batch.epoch is None:
        new = [event._replace(epoch=held.epoch) for event in new]
    begun = fold.begin(held, new[0])
    if begun.cancel is not None and begun.cancel.delivered_us is None:
        delivered = msgspec.structs.replace(begun.cancel, delivered_us=tx.now_us)
        begun = msgspec.structs.replace(begun, cancel=delivered)
    saved = transitions.append_folded(tx, row, begun, new, settings=settings)
    if saved.agent_session_id != row.agent_session_id:
        takeover.take_over(tx, saved)
    _renew(tx, saved, settings)
    return _answer(tx, saved, created=len(new), duplicates=known)


def _renew(tx: WriteTx, row: RunRow, settings: ServerSettings) -> None:
    if row.lease_kind in {"explicit", "implicit"}:
        leases.renew(tx, row, settings=settings)


def _row(index: int, event: EventInput, epoch: int, most_bytes: int, now_us: int) -> EventRow:
    kind, raw = event.type, event.raw
    if kind not in _KNOWN_TYPES and _OWN_TYPE.fullmatch(kind) is None:
        raise RefusedError(
            "invalid_value",
            "unknown event type",
            field=f"events[{index}].type",
            details={"allowed": list(EVENT_TYPES)},
        )
    try:
        at_us = _moment(event.timestamp)
    except ValueError:
        _refuse(index, "timestamp", "must be an RFC 3339 time with an offset")
    payload: bytes | None = bytes(event.payload)
    if not payload or payload == b"null":
        payload = None
    elif payload[0] != _OPENING_BRACE:
        _refuse(index, "payload", "must be an object")
    elif len(payload) > most_bytes:
        _too_large(index, "payload", most_bytes)
    if raw is not None and len(raw) * 6 > most_bytes < len(msgspec.json.encode(raw)):
        _too_large(index, "raw", most_bytes)
    level: Level = "info"
    if kind in _LEVELLED:
        level = _level(kind, payload)
    return EventRow(event.seq, epoch, kind, at_us, now_us, level, payload, raw)


def _level(kind: str, payload: bytes | None) -> Level:
    needed = kind in payloads.DECIDED_BY_PAYLOAD or (
        kind == "command_output" and payloads.mentions(payload, b'"exit_code"')
    )
    return payloads.level_of(kind, payloads.decode(payload) if needed else payloads.NO_PAYLOAD)


def _moment(text: str) -> int:
    """`parse_time`, with a quick way for the form Runwatch itself writes."""
    if len(text) == _USUAL_TIME_CHARS and text[26] == "Z" and text[10] == "T" and text[19] == ".":
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    return parse_time(text)


def _stored_part(tx: WriteTx, row: RunRow, events: Sequence[EventRow], *, from_holder: bool) -> int:
    """How many leading events are stored already, unchanged, or were until retention."""
    if events[0].seq > row.last_seq:
        return 0
    upper = min(events[-1].seq, row.last_seq)
    stored = {event.seq: event for event in tx.events.between(row.id, events[0].seq, upper)}
    known = 0
    for event in events:
        if event.seq < row.first_seq and from_holder:
            known += 1  # removed meanwhile: the answer may have been lost
            continue
        twin = stored.get(event.seq)
        if twin is None or not _same(event, twin):
            break
        known += 1
    return known


def _same(event: EventRow, stored: EventRow) -> bool:
    """Same type, instant, payload value and raw (contract 9.1, "unchanged")."""
    if (event.type, event.at_us, event.raw) != (stored.type, stored.at_us, stored.raw):
        return False
    if event.payload == stored.payload:
        return True
    if event.payload is None or stored.payload is None:
        return False
    same: bool = msgspec.json.decode(event.payload) == msgspec.json.decode(stored.payload)
    return same


def _under_epoch(tx: WriteTx, row: RunRow, batch: Prepared) -> bool:
    """Whether the stored twins of a whole batch were written under the epoch it names."""
    if batch.epoch is None:
        return True
    first, last = batch.events[0].seq, batch.events[-1].seq
    return all(event.epoch == batch.epoch for event in tx.events.between(row.id, first, last))


def _holder(
    tx: WriteTx, row: RunRow, batch: Prepared, *, by: Principal, settings: ServerSettings
) -> RunRow:
    """The run as its present holder has it; a first report takes an implicit or external lease."""
    if batch.epoch is not None:
        if batch.epoch != row.epoch or _superseded(row, by):
            raise lease_lost(row, batch.epoch)
        if row.lease_kind is None and not is_terminal(row.status):
            raise _lease_required()
        return row
    if row.process_id is not None:
        raise _lease_required()
    if is_terminal(row.status):
        return row
    if row.lease_kind is not None:
        if _superseded(row, by):
            raise lease_lost(row, None)
        return row
    return _first_holder(tx, row, by=by, settings=settings)


def _first_holder(tx: WriteTx, row: RunRow, *, by: Principal, settings: ServerSettings) -> RunRow:
    """The run with the lease its first report without an epoch takes (contract 9.1, 17)."""
    if row.status == "assigned" and by.scope in {"node", "admin"}:
        return leases.take_implicit(tx, row, settings=settings)
    if row.status == "queued" and row.epoch == 0 and not by.is_node:
        return msgspec.structs.replace(
            row, origin="external", lease_kind="external", epoch=1, deadline_us=None
        )
    raise _lease_required()


def _superseded(row: RunRow, by: Principal) -> bool:
    """A bound node that held the run before, while another holds it now."""
    return by.node_id is not None and row.node_id != by.node_id


def check_held(row: RunRow, by: Principal) -> None:
    """403 for a token bound to a node that never held the run (contract 9.1, first rule)."""
    if by.node_id is not None and by.node_id not in {row.node_id, *row.holders}:
        raise RefusedError("not_your_run", "this node never held the run")


def lease_lost(row: RunRow, epoch: int | None) -> RefusedError:
    """409 for a writer whose lease is over, with where the run stands now (contract 8.3)."""
    reason = "superseded"
    if is_terminal(row.status):
        reason = "node_lost" if row.error_code == "node_lost" else "ended"
    elif row.lease_kind is None:
        reason = "node_lost"
    details: dict[str, Any] = {
        "current_epoch": row.epoch,
        "status": row.status,
        "last_seq": row.last_seq,
        "reason": reason,
    }
    if epoch is not None:
        details["epoch"] = epoch
    return RefusedError("lease_lost", "the lease of this run is over", details=details)


def _lease_required() -> RefusedError:
    return RefusedError(
        "lease_required", "events of this run need the epoch of its lease", field="epoch"
    )


def _conflict(tx: WriteTx, row: RunRow, event: EventRow) -> RefusedError:
    stored = tx.events.between(row.id, event.seq, event.seq)
    return RefusedError(
        "seq_conflict",
        "this seq was used for something else" if stored else "this seq is below the last one",
        details={
            "seq": event.seq,
            "last_seq": row.last_seq,
            "reason": "different" if stored else "below_last",
        },
    )


def _answer(tx: WriteTx, row: RunRow, *, created: int, duplicates: int) -> EventsAnswer:
    lease: LeaseRow | None = tx.leases.get(row.id) if row.lease_kind is not None else None
    open_cancel = row.cancel is not None and not is_terminal(row.status)
    return EventsAnswer(
        created=created,
        duplicates=duplicates,
        last_seq=row.last_seq,
        status=row.status,
        cancel=row.cancel.reason if row.cancel is not None and open_cancel else None,
        lease=None
        if lease is None
        else LeaseState(epoch=lease.epoch, expires_at=format_time(lease.expires_us)),
    )


def _refuse(index: int, field: str, why: str) -> NoReturn:
    name = f"events[{index}].{field}"
    raise RefusedError("invalid_field", f"{name} {why}", field=name)


def _too_large(index: int, field: str, most_bytes: int) -> NoReturn:
    raise RefusedError(
        "event_too_large",
        "an event is too large",
        field=f"events[{index}].{field}",
        details={"max": most_bytes},
    )
