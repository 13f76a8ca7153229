"""The instances that runs may want, as `fitting` looks at them, and whose account a run in one
has.
"""

from typing import Final

import msgspec

from runwatch_server.fitting import NO_SEATS, Seat, Seats
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.storage.kept import KeptReads
from runwatch_shared.errors import RefusedError
from runwatch_shared.models import Agent

PAGE: Final = 1000


def seats_of(rows: KeptReads[InstanceRow]) -> dict[str, Seat]:
    """Those of all instances."""
    found: dict[str, Seat] = {}
    after: tuple[int, str] | None = None
    while True:
        page = rows.find(after=after, limit=PAGE)
        found |= {row.id: row.seat for row in page if row.seat is not None}
        if len(page) < PAGE:
            return found
        after = (page[-1].created_us, page[-1].id)


def seat_of(rows: KeptReads[InstanceRow], instance_id: str | None) -> Seats:
    """That of one, where one is wanted."""
    row = None if instance_id is None else rows.get(instance_id)
    if row is None or row.seat is None:
        return NO_SEATS
    return {row.id: row.seat}


def seated(rows: KeptReads[InstanceRow], agent: Agent) -> Agent:
    """An agent that is wanted in an instance has the instance's account, if it is of its type.

    Raises:
        RefusedError: 400: it is to have another account.
    """
    row = None if agent.instance_id is None else rows.get(agent.instance_id)
    if row is None or row.deleted_us is not None:
        return agent
    if agent.account_id is None:
        same = agent.type == row.agent_type
        return msgspec.structs.replace(agent, account_id=row.account_id) if same else agent
    if agent.account_id != row.account_id:
        raise RefusedError(
            "invalid_field",
            f"instance {row.id} is of account {row.account_id}",
            field="agent.account_id",
        )
    return agent
