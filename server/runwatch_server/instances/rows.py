"""What is stored of an instance, and what of it decides where runs may go."""

from typing import ClassVar, Final

from runwatch_server.fitting import Seat
from runwatch_server.kept import KeptRow, Place
from runwatch_shared.instances import InstanceStatus
from runwatch_shared.models import NodeId

GONE: Final = "deleted"
"""Stands in the index for the status of a row that nobody is shown any more."""


class InstanceRow(KeptRow, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "instance"

    name: str
    account_id: str
    agent_type: str
    template_id: str | None = None
    container_name: str | None = None
    node_id: NodeId
    status: InstanceStatus = "pending"
    error: str | None = None
    deleted_us: int | None = None
    """Since when it is only kept so that its node learns to remove the container."""

    @property
    def place(self) -> Place:
        return Place(
            node_id=self.node_id,
            account_id=self.account_id,
            status=self.status if self.deleted_us is None else GONE,
            name=self.name,
        )

    @property
    def seat(self) -> Seat | None:
        """Where runs that want it may go; None once it is deleted."""
        return Seat(self.node_id, self.status) if self.deleted_us is None else None
