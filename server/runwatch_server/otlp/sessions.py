"""Taking what one body tells of one session: repeated records out, the rest into its run.

Domain, over a transaction. Source: contract 14 (OTLP/HTTP in).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from runwatch_server import transitions
from runwatch_server.otlp import ending, filling, measuring, placing, telling
from runwatch_server.otlp.facts import Said
from runwatch_server.otlp.intake import Item, Part
from runwatch_server.otlp.memory import Memory
from runwatch_server.otlp.row import TelemetryRow, emptied
from runwatch_server.otlp.telling import Draft
from runwatch_server.payloads import level_of
from runwatch_server.principals import Principal
from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.settings import ServerSettings
from runwatch_shared.states import is_terminal
from runwatch_shared.text import clean

OTHER_NODE: Final = "another node reports their session"
NAME_CHARS: Final = 80


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a session's records."""

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    """All of them, as another node reports the session."""
    made: str | None = None
    """The id of the run that was made."""


def take(tx: WriteTx, part: Part, *, by: Principal, settings: ServerSettings) -> Taken:
    """Take a session's records.

    A run that somebody else reports gets none of them as events: its holder numbers those. What it
    lacks of usage and cost at its end it gets then (`filling`).
    """
    stored = tx.telemetry.get(part.agent.type, part.session_id)
    if stored is None and not part.items:
        return Taken()
    if _is_anothers(tx, part, stored, by):
        return Taken(rejected=len(part.items))
    row = stored or tx.telemetry.put(
        TelemetryRow(
            agent_type=part.agent.type,
            session_id=part.session_id,
            node_id=by.node_id,
            last_us=tx.now_us,
        )
    )
    memory = Memory(tx, row)
    new = [item for item in part.items if memory.fresh(item.digest)]
    duplicates = len(part.items) - len(new)
    run, row, made = _run_of(tx, part, memory.result(), new, settings)
    if new and run is not None:
        row = _told(tx, part, run, row, new, memory, made, settings)
    heard = bool(new) or part.quiet > 0
    row = msgspec.structs.replace(
        row, seen=memory.result().seen, last_us=tx.now_us if heard else row.last_us
    )
    tx.telemetry.put(ending.looked_at_later(tx, row, settings=settings))
    return Taken(
        stored=len(new), duplicates=duplicates, made=run.id if run is not None and made else None
    )


def _is_anothers(tx: WriteTx, part: Part, row: TelemetryRow | None, by: Principal) -> bool:
    """Whether a token bound to one node tells of a session that is another node's."""
    if by.node_id is None:
        return False
    if row is not None and row.node_id is not None and row.node_id != by.node_id:
        return True
    run = placing.reported(tx, part.session_id, tx.now_us)
    return run is not None and run.node_id is not None and run.node_id != by.node_id


def _run_of(
    tx: WriteTx,
    part: Part,
    row: TelemetryRow,
    new: Sequence[Item],
    settings: ServerSettings,
) -> tuple[RunRow | None, TelemetryRow, bool]:
    """The session's run for these records, the session with it, and whether it was made now."""
    known = None if row.run_id is None else tx.runs.get(row.run_id)
    if not new:
        return known, row, False
    moments = [min(tx.now_us, item.at_us or tx.now_us) for item in new]
    run = placing.reported(tx, part.session_id, max(moments))
    if run is not None:
        if known is not None and row.own and known.id != run.id and not is_terminal(known.status):
            ending.end(tx, known, row, because="another run reports it", settings=settings)
        if row.own or row.run_id != run.id:
            row = msgspec.structs.replace(emptied(row), run_id=run.id, own=False)
        return run, row, False
    if known is not None and row.own and not is_terminal(known.status):
        return known, row, False
    name = _name_in(new)
    run = placing.make_run(tx, part, row, min(moments), name=name, settings=settings)
    before = row if row.run_id is None else emptied(row)
    return run, msgspec.structs.replace(before, run_id=run.id, made_us=tx.now_us), True


def _told(
    tx: WriteTx,
    part: Part,
    run: RunRow,
    row: TelemetryRow,
    new: Sequence[Item],
    memory: Memory,
    made: bool,
    settings: ServerSettings,
) -> TelemetryRow:
    """The session after new records, which are in its run."""
    drafts = _beginning(part, run) if made else []
    for item in new:
        row = telling.noted(row, item, tx.now_us)
        if item.measured is not None:
            row = measuring.measured(row, item.measured)
        if row.own:
            drafts += telling.told(item, memory, part.session_id, tx.now_us)
    if not row.own:
        return filling.fill(tx, run, row, settings=settings) if is_terminal(run.status) else row
    row, totals = measuring.counted(row, part.agent, drafts[-1].at_us if drafts else tx.now_us)
    drafts += totals
    if drafts:
        events = [_event(run, n, draft, tx.now_us) for n, draft in enumerate(drafts, start=1)]
        transitions.append_folded(tx, run, run, events, settings=settings)
    return row


def _beginning(part: Part, run: RunRow) -> list[Draft]:
    """The first events of a run."""
    version = {} if part.version is None else {"version": part.version}
    at_us = run.started_us or run.created_us
    agent = {"type": part.agent.type, **version}
    info = {"agent": part.agent.title, **version, "session_id": part.session_id}
    return [
        Draft("run_started", at_us, {"agent": agent, "source": placing.SOURCE}),
        Draft("system_info", at_us, info),
    ]


def _event(run: RunRow, number: int, draft: Draft, now_us: int) -> EventRow:
    return EventRow(
        seq=run.last_seq + number,
        epoch=run.epoch,
        type=draft.type,
        at_us=draft.at_us,
        received_us=now_us,
        level=level_of(draft.type, draft.payload),
        payload=msgspec.json.encode(draft.payload),
        raw=None,
    )


def _name_in(new: Sequence[Item]) -> str | None:
    """What a person asked first, in one line, where that is kept."""
    for fact in (fact for item in new for fact in item.facts):
        if isinstance(fact, Said) and fact.payload.get("role") == "user":
            if fact.payload.get("redacted"):
                return None
            text = str(fact.payload.get("content", ""))
            return clean(text, limit=NAME_CHARS, fold=True, marks=False) or None
    return None
