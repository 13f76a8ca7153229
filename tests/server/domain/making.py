"""Rows and events for tests, each with only what the test is about."""

from typing import Any

import msgspec

from runwatch_server.payloads import level_of
from runwatch_server.rows import EventRow, RunRow, SourceRow
from runwatch_shared.models import NodeId, ProcessId, RunId, TaskId

SECOND_US = 1_000_000
NOW_US = 1_795_500_000 * SECOND_US
"""A moment in November 2026."""


def run_row(**changes: Any) -> RunRow:
    """A running run without events, begun a minute before `NOW_US`."""
    row = RunRow(
        id=RunId("run-000000000001"),
        task_id=TaskId("task-00000000001"),
        name="fix-auth",
        status="running",
        agent_type="claude-code",
        node_id=NodeId("n1"),
        created_us=NOW_US - 90 * SECOND_US,
        assigned_us=NOW_US - 80 * SECOND_US,
        claimed_us=NOW_US - 70 * SECOND_US,
        started_us=NOW_US - 60 * SECOND_US,
        updated_us=NOW_US - 60 * SECOND_US,
        epoch=1,
        lease_kind="explicit",
        process_id=ProcessId("p1"),
        holders=(NodeId("n1"),),
        source=SourceRow(kind="event", at_us=NOW_US - 60 * SECOND_US),
    )
    return msgspec.structs.replace(row, **changes)


def event(seq: int, kind: str, payload: dict[str, Any] | None = None, **changes: Any) -> EventRow:
    """An event received at `NOW_US`, a second a number after it."""
    at_us = NOW_US + seq * SECOND_US
    row = EventRow(
        seq=seq,
        epoch=1,
        type=kind,
        at_us=at_us,
        received_us=at_us,
        level=level_of(kind, payload or {}),
        payload=None if payload is None else msgspec.json.encode(payload),
        raw=None,
    )
    return row._replace(**changes)
