"""What a node's row keeps of its last report, most of it for the `ledger`."""

from typing import Literal

from runwatch_server.row import Row
from runwatch_shared.models import RunId


class SpoolRow(Row, frozen=True, kw_only=True):
    events: int
    bytes: int
    limit_bytes: int
    oldest_us: int | None = None


class SlotRow(Row, frozen=True, kw_only=True):
    """A run that holds a slot of a node, and when the node reported it (`ledger`)."""

    run_id: RunId
    since_us: int
    """When it was assigned."""
    first_us: int | None = None
    """Reported alive without a break since."""
    seen_us: int | None = None
    """Last reported alive."""
    ended: bool = False
    """The last report names it, with its process gone."""


class StrayRow(Row, frozen=True, kw_only=True):
    """What a node's last report names and the server did not give it."""

    kind: Literal["run", "process", "container"]
    ref: str
    """Of a run: its id."""
    epoch: int | None = None
    since_us: int
