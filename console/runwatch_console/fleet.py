"""The fleet as the console knows it, as a record; how the feed changes it is in `folding`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runwatch_console.accountrows import AccountRow
    from runwatch_console.rows import NodeRow, RunRow
    from runwatch_shared.models import Stats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edge:
    """Where the rows that are held end; of another snapshot it is another one."""

    until_s: float | None
    """Every run that is not held last changed no later; None: at any time, as where more are under
    way than are held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """All rows at one revision. Never change a mapping of it."""

    runs: "Mapping[str, RunRow]" = field(default_factory=dict)
    nodes: "Mapping[str, NodeRow]" = field(default_factory=dict)
    accounts: "Mapping[str, AccountRow]" = field(default_factory=dict)
    looks: Mapping[str, int] = field(default_factory=dict)
    """How many of `runs` have each look, by the look's word id."""
    stats: "Stats | None" = None
    total: int | None = None
    """Rows the server holds for the subscription; None before it said so."""
    edge: Edge | None = None
    """None: all of them are here."""
    revision: int = 0
    server_s: float | None = None
    """`server_time` of the newest frame."""
    loaded: bool = False
    """A whole snapshot has arrived at least once."""
    changed: frozenset[str] | None = frozenset()
    """Ids of runs that the last fold changed, added or removed; None: any of them."""
    removed: frozenset[str] = frozenset()
    """Ids of runs that the last fold was told to remove, whether they were held or not."""
    arriving_runs: "Mapping[str, RunRow] | None" = None
    """Rows of a snapshot of which the last part has not come yet; None outside of one."""
    arriving_nodes: "Mapping[str, NodeRow]" = field(default_factory=dict)
    arriving_accounts: "Mapping[str, AccountRow]" = field(default_factory=dict)
    problem: str = ""
    """What the server's last error frame said; empty for none."""

    @property
    def events_seen(self) -> int:
        """Events counted on all rows; the difference of two fleets says what was caught up."""
        return sum(run.event_count for run in self.runs.values())
