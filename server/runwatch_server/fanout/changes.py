"""Changed rows of the monitor in the order of their commits, and the `change` frames that carry
them; who gets them is in `groups`.

A frame covers (previous, revision] whole (contract 7.2). Where rows of one commit must be split,
the parts before its last one keep the revision before it, so that a client which loses the socket
in between resumes early enough.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, cast

import msgspec

from runwatch_server import records, workflows
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.accounts.showing import account_record
from runwatch_server.fanout.frames import PART_BYTES, PART_ROWS, Addressed, encode
from runwatch_server.rows import NodeRow, RunRow, TaskRow
from runwatch_server.storage.protocols import Commit
from runwatch_shared.models import Account, Node, Stats, Task, WorkflowSummary
from runwatch_shared.wire import (
    AccountChanges,
    ChangeFrame,
    NodeChanges,
    TaskChanges,
    Topic,
    WorkflowChanges,
    WorkflowKey,
)

Kind = Literal["workflows", "logins", "nodes", "tasks", "accounts"]
"""Logins are workflows too, in another table."""
Key = tuple[Kind, str]
AnyRow = RunRow | ActionRow | NodeRow | TaskRow | AccountRow

TOPICS: Final[dict[Kind, Topic]] = {
    "workflows": "workflows",
    "logins": "workflows",
    "nodes": "nodes",
    "tasks": "tasks",
    "accounts": "accounts",
}


class Cursor(NamedTuple):
    """How far a client is: every change up to ``revision`` was sent, and beyond it those up to
    ``position``; ``stats`` is the version of the statistics it has.
    """

    revision: int
    position: int
    stats: int


class Part(NamedTuple):
    """A frame, and how far a client is that got it."""

    frame: Addressed
    cursor: Cursor


class Change:
    """A row before and after one commit; its JSON is made once, when somebody first needs it.

    ``before`` and ``after`` are there until every subscription has judged them: what waits for a
    slow client is the JSON alone.
    """

    __slots__ = ("_json", "after", "at_us", "before", "id", "kind", "position", "revision")

    def __init__(
        self,
        kind: Kind,
        row_id: str,
        before: AnyRow | None,
        after: AnyRow | None,
        *,
        revision: int,
        position: int = 0,
        at_us: int = 0,
    ) -> None:
        self.kind: Kind = kind
        self.id = row_id
        self.before = before
        self.after = after
        self.revision = revision
        self.position = position
        self.at_us = at_us
        self._json: msgspec.Raw | None = None

    @property
    def key(self) -> Key:
        """What the row is known by among all kinds."""
        return self.kind, self.id

    @property
    def json(self) -> msgspec.Raw:
        """The row as the wire shows it; only while ``after`` is there."""
        if self._json is None:
            assert self.after is not None
            self._json = row_json(self.after)
            self.after = None
        return self._json

    def judged(self) -> None:
        """Every subscription knows what it is to it."""
        self.before = None


class Listed(NamedTuple):
    """A change as one subscription sees it: the row as it is now, or gone from it."""

    change: Change
    present: bool

    @property
    def size(self) -> int:
        """About how many bytes it takes in a frame."""
        return len(self.change.json) if self.present else 64


def row_json(row: AnyRow) -> msgspec.Raw:
    """A row as the wire shows it."""
    match row:
        case RunRow() | ActionRow():
            return msgspec.Raw(encode(workflows.summary(row)))
        case NodeRow():
            return msgspec.Raw(encode(records.node_record(row)))
        case TaskRow():
            return msgspec.Raw(encode(records.task_record(row)))
        case AccountRow():
            return msgspec.Raw(encode(account_record(row)))


def changes_of(commit: Commit, position: int) -> list[Change]:
    """What a commit changed, numbered from ``position`` + 1."""
    pairs: list[tuple[Kind, AnyRow | None, AnyRow | None]] = [
        *(("workflows", change.before, change.after) for change in commit.runs),
        *(("nodes", change.before, change.after) for change in commit.nodes),
        *(("tasks", change.before, change.after) for change in commit.tasks),
        *_kept(commit),
    ]
    return [
        Change(
            kind,
            row.id,
            before,
            after,
            revision=commit.revision,
            position=number,
            at_us=commit.at_us,
        )
        for number, (kind, before, after) in enumerate(pairs, position + 1)
        if (row := after if after is not None else before) is not None
    ]


def _kept(commit: Commit) -> Iterator[tuple[Kind, AnyRow | None, AnyRow | None]]:
    for change in commit.kept:
        before, after = change.before, change.after
        row = after if after is not None else before
        if isinstance(row, ActionRow):
            assert before is None or isinstance(before, ActionRow)
            yield ("logins", before, row if after is not None else None)
        elif isinstance(row, AccountRow):
            assert before is None or isinstance(before, AccountRow)
            yield ("accounts", before, row if after is not None else None)


class Totals(NamedTuple):
    """How many rows began and ceased to match, from some point on."""

    entered: int
    left: int


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """What the frames of one stretch have in common."""

    topics: frozenset[str]
    revision: int
    """Reached by the last frame."""
    server_time: str
    stats: tuple[int, msgspec.Raw] | None = None
    """Version and JSON, for the last frame."""
    total: int | None = None
    """For the last frame."""


def parts_of(
    pending: Sequence[Listed],
    start: Cursor,
    outline: Outline,
    totals_at: Callable[[int], Totals],
) -> Iterator[Part]:
    """The frames that bring a client from ``start`` to ``outline.revision``, in order.

    ``pending`` rises in position. At least one frame, even for no row.
    """
    cursor = start
    for chunk, following in _chunks(pending):
        last = following is None
        reached = outline.revision
        if following is not None:
            reached = min(chunk[-1].change.revision, following.change.revision - 1)
        revision = max(cursor.revision, reached)
        stats = outline.stats if last else None
        before, after = totals_at(cursor.revision), totals_at(revision)
        frame = ChangeFrame(
            sub=0,
            previous=cursor.revision,
            revision=revision,
            server_time=outline.server_time,
            workflows=_workflows(chunk) if "workflows" in outline.topics else None,
            nodes=_nodes(chunk) if "nodes" in outline.topics else None,
            tasks=_tasks(chunk) if "tasks" in outline.topics else None,
            accounts=_accounts(chunk) if "accounts" in outline.topics else None,
            stats=None if stats is None else cast("Stats", stats[1]),
            entered=after.entered - before.entered,
            left=after.left - before.left,
            total=outline.total if last else None,
        )
        cursor = Cursor(
            revision,
            chunk[-1].change.position if chunk else cursor.position,
            cursor.stats if stats is None else stats[0],
        )
        yield Part(Addressed(frame), cursor)


def _chunks(pending: Sequence[Listed]) -> Iterator[tuple[list[Listed], Listed | None]]:
    """Stretches that fit a frame, each with what follows it; only what is asked for is encoded."""
    chunk: list[Listed] = []
    size = 0
    for listed in pending:
        size += listed.size
        if chunk and (len(chunk) >= PART_ROWS or size > PART_BYTES):
            yield chunk, listed
            chunk = []
            size = listed.size
        chunk.append(listed)
    yield chunk, None


def _workflows(chunk: Sequence[Listed]) -> WorkflowChanges | None:
    runs, gone_runs = _split(chunk, "workflows")
    logins, gone_logins = _split(chunk, "logins")
    upsert = [*runs, *logins]
    remove = [
        *(WorkflowKey(type="run", id=row_id) for row_id in gone_runs),
        *(WorkflowKey(type="auth", id=row_id) for row_id in gone_logins),
    ]
    if not upsert and not remove:
        return None
    return WorkflowChanges(upsert=cast("list[WorkflowSummary]", upsert), remove=remove)


def _nodes(chunk: Iterable[Listed]) -> NodeChanges | None:
    upsert, gone = _split(chunk, "nodes")
    if not upsert and not gone:
        return None
    return NodeChanges(upsert=cast("list[Node]", upsert), remove=gone)


def _tasks(chunk: Iterable[Listed]) -> TaskChanges | None:
    upsert, gone = _split(chunk, "tasks")
    if not upsert and not gone:
        return None
    return TaskChanges(upsert=cast("list[Task]", upsert), remove=gone)


def _accounts(chunk: Iterable[Listed]) -> AccountChanges | None:
    upsert, gone = _split(chunk, "accounts")
    if not upsert and not gone:
        return None
    return AccountChanges(upsert=cast("list[Account]", upsert), remove=gone)


def _split(chunk: Iterable[Listed], kind: Kind) -> tuple[list[msgspec.Raw], list[str]]:
    mine = [listed for listed in chunk if listed.change.kind == kind]
    return (
        [listed.change.json for listed in mine if listed.present],
        [listed.change.id for listed in mine if not listed.present],
    )
