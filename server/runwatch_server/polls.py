"""A node asking for its runs, answered at once or when something happens (contract 11.2).

Joins the store and `doorbells`; HTTP is the caller's part.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple, TypeVar

from runwatch_server import nodes
from runwatch_server.doorbells import Doorbells, News
from runwatch_server.rows import LeaseRow, RunRow, SpecRow
from runwatch_server.storage.protocols import Query, Reader, ReadTx, Writer
from runwatch_shared.clock import Clock
from runwatch_shared.settings import ServerSettings
from runwatch_shared.wire import Directives

T = TypeVar("T")

LONGEST_WAIT_S: Final = 30
DEFAULT_STATUSES: Final = ("assigned", "running")
MOST_LISTED: Final = 1000
_NO_NEWS: Final = News()


class Polled(NamedTuple):
    """What a poll is answered with: runs as stored, oldest first, and directives."""

    runs: list[tuple[RunRow, SpecRow, LeaseRow | None]]
    directives: Directives


async def poll_runs(
    node_id: str,
    *,
    statuses: Collection[str] = DEFAULT_STATUSES,
    wait_s: float,
    reader: Reader,
    writer: Writer,
    doorbells: Doorbells,
    clock: Clock,
    settings: ServerSettings,
) -> Polled:
    """The node's runs of these statuses. Where ``wait_s`` is above 0 the answer comes when a run is
    assigned and unclaimed, when a directive is there that ended no wait yet (told by an event
    answer or not: that one may have been lost), when the server stops, or after ``wait_s``,
    whichever is first; then with an empty list unless something is there.

    Raises:
        RefusedError: 404 for a node that was deleted; an unknown one has no runs.
    """
    until_s = clock.monotonic() + min(wait_s, LONGEST_WAIT_S)
    with doorbells.listen(node_id) as bell:
        over = wait_s <= 0
        while True:
            news = bell.take() if wait_s > 0 else _NO_NEWS
            polled, undelivered = await reader.read(_reading(node_id, statuses, news))
            told = news.any or (news.first and _directs(polled.directives))
            if over or doorbells.closed or told or undelivered or _has_work(polled):
                break
            over = not await bell.wait(until_s - clock.monotonic())
    if undelivered:
        await writer.write(lambda tx: nodes.deliver(tx, node_id, settings=settings))
    return polled


def _reading(
    node_id: str, statuses: Collection[str], news: News
) -> Callable[[ReadTx], tuple[Polled, bool]]:
    return lambda tx: _read(tx, node_id, statuses, news)


def _read(tx: ReadTx, node_id: str, statuses: Collection[str], news: News) -> tuple[Polled, bool]:
    """The answer as of now, and whether it carries a cancel the node was never told."""
    nodes.refuse_deleted(tx, node_id)
    active = tx.runs.active_on(node_id)
    listed: list[RunRow] = active
    if not set(statuses) <= set(DEFAULT_STATUSES):
        listed = tx.runs.page(_listing(node_id, statuses))
    found: list[tuple[RunRow, SpecRow, LeaseRow | None]] = []
    for row in listed:
        spec = tx.runs.spec(row.id) if row.status in statuses else None
        if spec is not None:
            found.append((row, spec, tx.leases.get(row.id)))
    undelivered = any(
        row.lease_kind is not None and row.cancel is not None and row.cancel.delivered_us is None
        for row in active
    )
    return Polled(found, nodes.directives_of(tx, node_id, news.lost_runs)), undelivered


def _listing(node_id: str, statuses: Collection[str]) -> Query:
    return Query(
        node=(node_id,),
        status=tuple(statuses),
        sort="start_time",
        descending=False,
        limit=MOST_LISTED,
    )


def _directs(directives: Directives) -> bool:
    return bool(
        directives.cancel_runs or directives.lost_runs or directives.drain or directives.proxy_tests
    )


def _has_work(polled: Polled) -> bool:
    return any(row.status == "assigned" and row.lease_kind is None for row, _, _ in polled.runs)
