"""A node asking for its logins, answered at once or when something happens (contract 13).

Joins the store and `bells`; HTTP is the caller's part.
"""

import asyncio
from collections.abc import Collection
from typing import Final, NamedTuple

from runwatch_server.accounts import life
from runwatch_server.accounts.bells import ActionBells
from runwatch_server.accounts.rows import ActionRow
from runwatch_server.nodes import refuse_deleted
from runwatch_server.polls import LONGEST_WAIT_S
from runwatch_server.storage.protocols import Reader, ReadTx, Writer
from runwatch_shared.clock import Clock

DEFAULT_STATUSES: Final = ("assigned",)


class Polled(NamedTuple):
    """What a poll is answered with."""

    actions: list[ActionRow]
    """Of the statuses that were asked for, and those with an input; oldest first."""
    inputs: dict[str, str]
    """Sealed, by action: given with this answer and never again."""


async def poll_actions(
    node_id: str,
    *,
    statuses: Collection[str],
    wait_s: float,
    reader: Reader,
    writer: Writer,
    bells: ActionBells,
    clock: Clock,
    hands_over: bool = True,
) -> Polled:
    """The node's actions. Where ``wait_s`` is above 0 the answer comes when there is one that no
    process has begun, or an input, when somebody ended one of the node's, when the server stops, or
    after ``wait_s``, whichever is first.

    Args:
        hands_over: Whether the inputs are given, as to the node itself.

    Raises:
        RefusedError: 404 for a node that was deleted; an unknown one has no actions.
    """
    until_s = clock.monotonic() + min(wait_s, LONGEST_WAIT_S)
    with bells.listen(node_id) as bell:
        over = wait_s <= 0
        while True:
            # What is told now is in what is read after it.
            ended = bells.take_ended(node_id)
            rows = await reader.read(lambda tx: _read(tx, node_id, statuses))
            given = any(row.input is not None for row in rows)
            begins = any(row.status == "assigned" for row in rows)
            if over or bells.closed or given or begins or ended:
                break
            over = not await _rung(bell, until_s - clock.monotonic())
    inputs: dict[str, str] = {}
    if given and hands_over:
        # Only of what is in this answer: one that came since is told of by the next.
        asked = [row.id for row in rows if row.input is not None]
        inputs = await writer.write(lambda tx: life.take_inputs(tx, asked))
    return Polled(rows, inputs)


def _read(tx: ReadTx, node_id: str, statuses: Collection[str]) -> list[ActionRow]:
    refuse_deleted(tx, node_id)
    actions = tx.kept(ActionRow)
    rows = life.open_on(actions, node_id)
    ended = set(statuses) - set(life.OPEN)
    if ended:
        rows = [*actions.find(node_id=node_id, status=ended, limit=life.MOST_OPEN), *rows]
        rows.sort(key=lambda row: (row.created_us, row.id))
    return [row for row in rows if row.status in statuses or row.input is not None]


async def _rung(bell: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            await bell.wait()
    except TimeoutError:
        return False
    bell.clear()
    return True
