"""What ``GET /nodes/{id}/ledger`` answers (contract 11.4); the numbers are `models.NodeLedger`."""

from typing import Literal

import msgspec

from runwatch_shared.models import NodeId, NodeLedger, Record, Time

LedgerClass = Literal["pending", "matched", "phantom", "orphan"]


class LedgerRow(Record, frozen=True, kw_only=True):
    """A run, or a process or container without one, and where it stands.

    ``ref`` is there where no run is known: what the node calls the process or container.
    """

    run_id: str | None = None
    ref: str | None = None
    class_: LedgerClass = msgspec.field(name="class")
    epoch: int | None = None
    since: Time
    """Assigned, reported alive or as an orphan, or last reported: since when it is of the class."""
    reason: str


class LedgerAnswer(NodeLedger, frozen=True, kw_only=True):
    node_id: NodeId
    rows: list[LedgerRow]
