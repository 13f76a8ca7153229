"""A node's ledger: what the server gave it against what it says runs there (contract 11.4).

Domain. What a node reported stands in its row (``slots``, ``strays``), so that the numbers follow
from the row alone wherever nodes are shown. `transitions` tells when a slot is taken and left,
`nodes` what a heartbeat names, `sweeper` when time alone makes a phantom.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from runwatch_server import standing
from runwatch_server.ids import is_id
from runwatch_server.ledger_rows import SlotRow, StrayRow
from runwatch_server.rows import NodeRow, RunRow
from runwatch_server.storage.protocols import RunReads
from runwatch_shared.errors import not_found
from runwatch_shared.ledger import LedgerAnswer, LedgerClass, LedgerRow
from runwatch_shared.models import NodeLedger, RunId
from runwatch_shared.text import clean
from runwatch_shared.timestamps import format_optional_time, format_time, parse_time
from runwatch_shared.wire import Heartbeat

GRACE_US: Final = 30_000_000
"""How long a run may hold a slot before its node has to report it, and again after each report."""
PUT_AWAY_US: Final = 5_000_000
"""A heartbeat may be on its way while the last event of a run it names is stored: what ended less
than this ago is no orphan.
"""
MOST_STRAYS: Final = 100
REF_CHARS: Final = 128

_CLASSES: Final[tuple[LedgerClass, ...]] = ("phantom", "orphan", "pending", "matched")
"""In the order of the rows: what is wrong first."""


class Counts(NamedTuple):
    """What a node's row says, offline or not."""

    pending: int
    matched: int
    phantom: int
    orphan: int

    @property
    def real(self) -> int:
        return self.matched + self.orphan


class LedgerReads(Protocol):
    """What the rows of a ledger are read from: any kind of transaction."""

    @property
    def runs(self) -> RunReads: ...


def count(node: NodeRow) -> Counts:
    """The classes in numbers, as of ``judged_us``."""
    classes = [_class_of(node, slot) for slot in node.slots]
    # A row of before slots were kept: nothing is known of these until its node beats.
    unlisted = max(0, node.allocated - len(classes))
    return Counts(
        pending=classes.count("pending") + unlisted,
        matched=classes.count("matched"),
        phantom=classes.count("phantom"),
        orphan=len(node.strays) + node.strays_beyond,
    )


def ledger_record(node: NodeRow) -> NodeLedger:
    """The numbers of a node; what only the node can say is null while it is offline."""
    return NodeLedger(**_numbers(node))


def taken(node: NodeRow, run_id: RunId, since_us: int, now_us: int) -> NodeRow:
    """The node after it was given a run."""
    slots = [slot for slot in node.slots if slot.run_id != run_id]
    return judged(node, now_us, slots=[*slots, SlotRow(run_id=run_id, since_us=since_us)])


def left(node: NodeRow, run_id: RunId, now_us: int) -> NodeRow:
    """The node after a run has left it; the next heartbeat tells whether it is still there."""
    return judged(node, now_us, slots=[slot for slot in node.slots if slot.run_id != run_id])


def judged(node: NodeRow, now_us: int, *, slots: list[SlotRow] | None = None) -> NodeRow:
    """The node with pending told from phantom as of ``now_us``, and when that changes next."""
    at = msgspec.structs.replace(
        node, judged_us=now_us, slots=node.slots if slots is None else slots
    )
    due = [_last_sign_us(slot) + GRACE_US for slot in at.slots if _class_of(at, slot) == "pending"]
    return msgspec.structs.replace(at, ledger_due_us=min(due, default=None))


def reported(
    node: NodeRow,
    beat: Heartbeat,
    active: Mapping[RunId, RunRow],
    runs: RunReads,
    now_us: int,
) -> NodeRow:
    """The node after its heartbeat.

    Args:
        node: As its heartbeat leaves it otherwise.
        active: The runs assigned or running on it.
    """
    named = {report.id: report.alive for report in beat.runs or []}
    named |= {run_id: True for run_id in beat.running_runs or [] if run_id not in named}
    epochs = {report.id: report.epoch for report in beat.runs or []}
    here = {
        row.id
        for row in active.values()
        if row.id in named and epochs.get(row.id, row.epoch) == row.epoch
    }
    before = {slot.run_id: slot for slot in node.slots}
    slots = [
        _slot(
            row, before.get(row.id), alive=named[row.id] if row.id in here else None, at_us=now_us
        )
        for row in active.values()
        if standing.holds_slot(row)
    ]
    living = [run_id for run_id, alive in named.items() if alive and run_id not in here]
    strays = [
        *(
            stray
            for run_id in living[:MOST_STRAYS]
            if (stray := _stray(runs, run_id, epochs, now_us))
        ),
        *(
            StrayRow(
                kind=orphan.kind,
                ref=clean(orphan.ref, limit=REF_CHARS, fold=True),
                since_us=min(now_us, parse_time(orphan.since)),
            )
            for orphan in beat.orphans or []
        ),
    ]
    kept = _known_since(node.strays, strays[:MOST_STRAYS])
    beyond = len(strays) - len(kept) + max(0, len(living) - MOST_STRAYS)
    node = msgspec.structs.replace(node, strays=kept, strays_beyond=beyond)
    return judged(node, now_us, slots=slots)


def answer(node: NodeRow | None, tx: LedgerReads) -> LedgerAnswer:
    """The numbers with a row for each run, process and container (contract 11.4).

    Raises:
        RefusedError: 404.
    """
    if node is None:
        raise not_found("node")
    rows: list[LedgerRow] = []
    # What an offline node reported last says nothing of now.
    if node.status != "offline":
        rows = [_slot_record(node, slot, tx.runs) for slot in node.slots]
        rows += [_stray_record(node, stray, tx.runs) for stray in node.strays]
        rows.sort(key=lambda row: (_CLASSES.index(row.class_), row.since, row.run_id or row.ref))
    return LedgerAnswer(node_id=node.id, rows=rows, **_numbers(node))


def _numbers(node: NodeRow) -> dict[str, Any]:
    counts, known = count(node), node.status != "offline"
    return {
        "capacity": node.capacity,
        "allocated": node.allocated,
        "pending": counts.pending,
        "real": counts.real if known else None,
        "matched": counts.matched if known else None,
        "phantom": counts.phantom if known else None,
        "orphan": counts.orphan if known else None,
        "as_of": format_optional_time(node.last_heartbeat_us),
    }


def _class_of(node: NodeRow, slot: SlotRow) -> LedgerClass:
    if slot.seen_us is not None and slot.seen_us == node.last_heartbeat_us:
        return "matched"
    return "pending" if node.judged_us < _last_sign_us(slot) + GRACE_US else "phantom"


def _last_sign_us(slot: SlotRow) -> int:
    return max(slot.since_us, slot.seen_us or 0)


def _slot(row: RunRow, before: SlotRow | None, *, alive: bool | None, at_us: int) -> SlotRow:
    """A held slot after a heartbeat.

    Args:
        alive: What the heartbeat says of the run; None where it does not name it.
    """
    if before is None:
        since_us = at_us if row.assigned_us is None else row.assigned_us
        before = SlotRow(run_id=row.id, since_us=since_us)
    if alive:
        first_us = at_us if before.first_us is None else before.first_us
        return msgspec.structs.replace(before, first_us=first_us, seen_us=at_us, ended=False)
    return msgspec.structs.replace(before, first_us=None, ended=alive is False)


def _stray(runs: RunReads, run_id: str, epochs: Mapping[str, int], now_us: int) -> StrayRow | None:
    """A run that a heartbeat names and this node was not given; None where that is as it should be:
    a session that the node found, or a run that has only just ended.
    """
    row = runs.get(run_id) if is_id(run_id) else None
    if row is not None and row.origin == "found":
        return None
    if row is not None and standing.ended(row) and now_us - row.updated_us < PUT_AWAY_US:
        return None
    ref = clean(run_id, limit=REF_CHARS, fold=True)
    return StrayRow(kind="run", ref=ref, epoch=epochs.get(run_id), since_us=now_us)


def _known_since(before: Iterable[StrayRow], now: Iterable[StrayRow]) -> list[StrayRow]:
    """Those of now, with the moment each was named first."""
    since = {(stray.kind, stray.ref, stray.epoch): stray.since_us for stray in before}
    return [
        msgspec.structs.replace(
            stray, since_us=since.get((stray.kind, stray.ref, stray.epoch), stray.since_us)
        )
        for stray in now
    ]


def _slot_record(node: NodeRow, slot: SlotRow, runs: RunReads) -> LedgerRow:
    class_ = _class_of(node, slot)
    since_us = slot.first_us if class_ == "matched" else _last_sign_us(slot)
    row = runs.get(slot.run_id)
    return LedgerRow(
        run_id=slot.run_id,
        class_=class_,
        epoch=None if row is None or row.lease_kind is None else row.epoch,
        since=format_time(_last_sign_us(slot) if since_us is None else since_us),
        reason=_why_held(class_, slot, row),
    )


def _why_held(class_: LedgerClass, slot: SlotRow, row: RunRow | None) -> str:
    if class_ == "matched":
        return "reported alive"
    if slot.ended:
        return "the node has it, but its process is gone"
    if row is not None and row.lease_kind is None:
        return "assigned, not claimed"
    if class_ == "pending":
        reported = slot.seen_us is not None
        return "not in the last report" if reported else "claimed, not reported yet"
    if row is not None and row.lease_ended_us is not None:
        return "not reported, and its lease ran out"
    return "never reported" if slot.seen_us is None else "reported no more"


def _stray_record(node: NodeRow, stray: StrayRow, runs: RunReads) -> LedgerRow:
    since = format_time(stray.since_us)
    if stray.kind != "run":
        reason = f"a {stray.kind} without a run"
        return LedgerRow(ref=stray.ref, class_="orphan", since=since, reason=reason)
    return LedgerRow(
        run_id=stray.ref,
        class_="orphan",
        epoch=stray.epoch,
        since=since,
        reason=_why_stray(node, stray, runs.get(stray.ref) if is_id(stray.ref) else None),
    )


def _why_stray(node: NodeRow, stray: StrayRow, row: RunRow | None) -> str:
    if row is None:
        return "reported alive, not known here"
    if standing.ended(row):
        return f"reported alive, ended here: {row.error_code or row.status}"
    if row.status == "queued":
        return "reported alive, queued again here"
    if row.node_id != node.id:
        return f"reported alive, given to {row.node_id}"
    return f"reported alive with lease {stray.epoch}, the present one is {row.epoch}"
