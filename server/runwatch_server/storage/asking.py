"""What is asked of a store and what it answers, where that is more than rows."""

from collections.abc import Mapping

import msgspec

from runwatch_server.kept import KeptRow
from runwatch_server.rows import EventRow, NodeRow, RunRow, TaskRow, Tombstone


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A list of workflows of type run (contract 6.1), all conditions holding together.

    ``labels`` maps a name to the value it must have, ``None`` for any. ``sort`` is one of
    ``wire.WORKFLOW_SORTS``; ``after`` is the place of the last row of the page before: (sort value,
    id), for attention (attention, ``updated_us``, id).
    """

    types: tuple[str, ...] | None = None
    """``run`` and ``auth``; a store, which has runs alone here, is not asked for others."""
    ids: tuple[str, ...] | None = None
    state: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    node: tuple[str, ...] | None = None
    agent_type: tuple[str, ...] | None = None
    health: tuple[str, ...] | None = None
    task: str | None = None
    labels: Mapping[str, str | None] | None = None
    q: str | None = None
    waiting: bool | None = None
    active: bool | None = None
    since_us: int | None = None
    until_us: int | None = None
    sort: str = "update_time"
    descending: bool = True
    after: tuple[str | int | float | None, ...] | None = None
    limit: int = 50
    offset: int = 0


class TaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A list of tasks, newest first (contract 8.1); ``after`` is (created_us, id)."""

    status: tuple[str, ...] | None = None
    labels: Mapping[str, str | None] | None = None
    q: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    parent_id: str | None = None
    after: tuple[int, str] | None = None
    limit: int = 20
    offset: int = 0


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events: ``after_seq`` reads upward, ``before_seq`` and ``tail`` downward."""

    run_id: str
    after_seq: int | None = None
    before_seq: int | None = None
    tail: bool = False
    types: tuple[str, ...] | None = None
    levels: tuple[str, ...] | None = None
    q: str | None = None
    raw: bool = False
    limit: int = 100
    scan_limit: int = 20_000
    """Rows looked at for ``q``."""
    filter_scan_limit: int = 100_000
    """Rows looked at for types and levels, in the blocks that hold both."""


class EventRows(msgspec.Struct, frozen=True, kw_only=True):
    events: list[EventRow]
    """Rising seq, whatever the direction of reading."""
    scanned_to_seq: int | None
    """Set when a filter stopped at its scan limit."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What changed after a revision, for a feed that resumes."""

    runs: list[RunRow]
    nodes: list[NodeRow]
    tasks: list[TaskRow]
    kept: list[KeptRow]
    """Of all kinds that are told."""
    removed: list[Tombstone]
