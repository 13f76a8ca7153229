"""A node asking for its instances, answered at once or when one is to be made, stopped or removed.

Joins the store and `doorbells`; HTTP is the caller's part.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from runwatch_server.doorbells import Doorbells
from runwatch_server.instances.life import MOST_OF_ONE
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.nodes import refuse_deleted
from runwatch_server.polls import LONGEST_WAIT_S
from runwatch_server.storage.protocols import Reader, ReadTx
from runwatch_shared.clock import Clock
from runwatch_shared.instances import InstanceStatus

OPEN: Final[tuple[InstanceStatus, ...]] = ("pending", "creating", "stopping")
"""What a node has to act on."""


class Polled(NamedTuple):
    """The instances, oldest first, and those of which only the container is left."""

    rows: list[InstanceRow]
    deleted: list[InstanceRow]


async def poll_instances(
    node_id: str,
    *,
    statuses: Collection[str] = OPEN,
    wait_s: float,
    reader: Reader,
    doorbells: Doorbells,
    clock: Clock,
) -> Polled:
    """The node's instances of these statuses. Where ``wait_s`` is above 0 the answer comes when
    there is one, when one was deleted, when the server stops, or after ``wait_s``.

    Raises:
        RefusedError: 404 for a node that was deleted; an unknown one has none.
    """
    until_s = clock.monotonic() + min(wait_s, LONGEST_WAIT_S)
    with doorbells.listen_for_instances(node_id) as bell:
        while True:
            polled = await reader.read(_reading(node_id, statuses))
            left_s = until_s - clock.monotonic()
            if polled.rows or polled.deleted or doorbells.closed or left_s <= 0:
                return polled
            await bell.wait(left_s)


def _reading(node_id: str, statuses: Collection[str]) -> Callable[[ReadTx], Polled]:
    def read(tx: ReadTx) -> Polled:
        refuse_deleted(tx, node_id)
        rows = tx.kept(InstanceRow).find(node_id=node_id, limit=MOST_OF_ONE)
        return Polled(
            [row for row in rows if row.deleted_us is None and row.status in statuses],
            [row for row in rows if row.deleted_us is not None],
        )

    return read
