"""What a subscription sees at one revision, and what changed since another, read from the store.

Everything here runs in a reader's thread: it gets a `ReadTx` and gives back frames that are ready.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, cast

import msgspec

from runwatch_server import workflow_lists
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.fanout.changes import (
    TOPICS,
    AnyRow,
    Change,
    Cursor,
    Kind,
    Listed,
    Outline,
    Part,
    Totals,
    parts_of,
    row_json,
)
from runwatch_server.fanout.frames import PART_BYTES, PART_ROWS, Addressed
from runwatch_server.fanout.subscriptions import Subscription
from runwatch_server.matching import conditions_of, matches
from runwatch_server.storage.protocols import Changed, ReadTx, TaskQuery
from runwatch_shared.models import Account, Node, Stats, Task, WorkflowSummary
from runwatch_shared.wire import SnapshotFrame

MOST_COUNTED: Final = 10_000_000
"""``total`` must be exact, since clients add and subtract from it."""

ResyncReason = Literal["too_old", "store_changed", "lagging"]
MOST_ACCOUNTS: Final = 10_000
_KIND_OF_TOMBSTONE: Final[dict[str, Kind]] = {
    "run": "workflows",
    "task": "tasks",
    "node": "nodes",
    ActionRow.KIND: "logins",
    AccountRow.KIND: "accounts",
}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    revision: int
    frames: list[Addressed]


class Catchup(msgspec.Struct, frozen=True, kw_only=True):
    """What a resumed client missed."""

    revision: int
    frames: list[Addressed]


def read_snapshot(
    tx: ReadTx, subscription: Subscription, *, server_time: str, stats: msgspec.Raw | None
) -> Snapshot:
    """Rows of one revision in frames of bounded size; ``stats`` in the first, ``total`` in the
    last.
    """
    revision = tx.revision()
    total = None
    rows: list[tuple[Kind, AnyRow]] = []
    if "workflows" in subscription.topics:
        found, total = workflow_lists.page_and_count(tx, subscription.query, at_most=MOST_COUNTED)
        rows += (("workflows", row) for row in found)
    if "nodes" in subscription.topics:
        rows += (("nodes", row) for row in tx.nodes.all())
    if "tasks" in subscription.topics:
        query = TaskQuery(limit=subscription.query.limit)
        rows += (("tasks", row) for row in tx.tasks.page(query))
    if "accounts" in subscription.topics:
        rows += (("accounts", row) for row in tx.kept(AccountRow).find(limit=MOST_ACCOUNTS))
    frames = []
    pieces = list(_pieces(rows))
    for part, piece in enumerate(pieces, 1):
        last = part == len(pieces)
        frame = SnapshotFrame(
            sub=0,
            revision=revision,
            server_time=server_time,
            part=part,
            last=last,
            workflows=cast("list[WorkflowSummary]", _of(piece, "workflows", part, subscription)),
            nodes=cast("list[Node]", _of(piece, "nodes", part, subscription)),
            tasks=cast("list[Task]", _of(piece, "tasks", part, subscription)),
            accounts=cast("list[Account]", _of(piece, "accounts", part, subscription)),
            stats=cast("Stats", stats) if part == 1 else None,
            total=total if last else None,
        )
        frames.append(Addressed(frame))
    return Snapshot(revision=revision, frames=frames)


def read_catchup(
    tx: ReadTx,
    subscription: Subscription,
    since: int,
    *,
    most_rows: int,
    server_time: str,
    stats: msgspec.Raw | None,
) -> Catchup | ResyncReason:
    """Everything later than ``since``, or why that cannot be told.

    Rows that do not match are named as removed: whether they ever matched is not known any more.
    """
    revision = tx.revision()
    if since > revision:
        return "store_changed"
    if since < tx.oldest_resumable():
        return "too_old"
    changed = tx.changed_since(since, limit=most_rows)
    if changed is None:
        return "lagging"
    rows = _listed_of(changed, subscription)
    pending = [listed for listed in rows if TOPICS[listed.change.kind] in subscription.topics]
    pending.sort(key=lambda listed: listed.change.revision)
    total = None
    if "workflows" in subscription.topics:
        total = workflow_lists.count(tx, subscription.query, at_most=MOST_COUNTED)
    outline = Outline(
        topics=subscription.topics,
        revision=revision,
        server_time=server_time,
        stats=None if stats is None else (0, stats),
        total=total,
    )
    parts: Sequence[Part] = list(
        parts_of(pending, Cursor(since, 0, 0), outline, lambda _: Totals(0, 0))
    )
    return Catchup(revision=revision, frames=[part.frame for part in parts])


def _listed_of(changed: Changed, subscription: Subscription) -> list[Listed]:
    """What changed, as rows of every topic."""
    tests = conditions_of(subscription.query)
    rows = [_listed("workflows", row, present=matches(tests, row)) for row in changed.runs]
    rows += (_listed("nodes", node, present=True) for node in changed.nodes)
    rows += (_listed("tasks", task, present=True) for task in changed.tasks)
    for each in changed.kept:
        if isinstance(each, ActionRow):
            rows.append(_listed("logins", each, present=matches(tests, each)))
        elif isinstance(each, AccountRow):
            rows.append(_listed("accounts", each, present=True))
    back = {listed.change.key for listed in rows}
    for stone in changed.removed:
        kind = _KIND_OF_TOMBSTONE.get(stone.kind)
        if kind is None:  # of what no topic shows
            continue
        if (kind, stone.id) not in back:  # a node may be deleted and come again
            change = Change(kind, stone.id, None, None, revision=stone.revision)
            rows.append(Listed(change, present=False))
    return rows


def _pieces(
    rows: Sequence[tuple[Kind, AnyRow]],
) -> Iterator[list[tuple[Kind, msgspec.Raw]]]:
    piece: list[tuple[Kind, msgspec.Raw]] = []
    size = 0
    for kind, row in rows:
        json = row_json(row)
        size += len(json)
        if piece and (len(piece) >= PART_ROWS or size > PART_BYTES):
            yield piece
            piece = []
            size = len(json)
        piece.append((kind, json))
    yield piece


def _of(
    piece: Sequence[tuple[Kind, msgspec.Raw]], kind: Kind, part: int, subscription: Subscription
) -> list[msgspec.Raw] | None:
    """The rows of one kind; the first part names every topic, even one without a row."""
    found = [json for row_kind, json in piece if row_kind == kind]
    return found if found or (part == 1 and kind in subscription.topics) else None


def _listed(kind: Kind, row: AnyRow, *, present: bool) -> Listed:
    return Listed(Change(kind, row.id, None, row, revision=row.revision), present)
