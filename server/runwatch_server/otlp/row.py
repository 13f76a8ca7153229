"""What a store keeps of an agent's session that is known by its telemetry."""

from typing import NamedTuple

import msgspec

from runwatch_server.rows import Row
from runwatch_shared.models import NodeId, RunId


class StreamRow(NamedTuple):
    """The last value of one cumulative counter of one process."""

    time_ns: int
    kind: str
    value: float


class TelemetryRow(Row, frozen=True, kw_only=True):
    """A session: which run it is, and what its telemetry said that no event can say.

    Numbers are by the names of contract 5.1, those of metrics by the kinds the agent has for them.
    """

    key: int = 0
    """Given by the store."""
    agent_type: str
    session_id: str
    run_id: RunId | None = None
    own: bool = True
    """Whether the run was made from telemetry; else somebody else reports it."""
    made_us: int | None = None
    """When the run was made from telemetry, by the server's clock."""
    node_id: NodeId | None = None
    """The node whose token brought the session; None for another credential."""
    seen: int = 0
    """Records remembered so far, to know a repeated one."""
    last_us: int
    """When something was last received, by the server's clock."""
    told: dict[str, float] = {}
    """Of the present run, by log records."""
    by_logs: bool = False
    """Whether log records ever told usage: then metrics, which tell the same, do not count."""
    deltas: dict[str, float] = {}
    """By metrics that tell what was added."""
    streams: dict[str, StreamRow] = {}
    """Of metrics that tell a sum, by stream."""
    counted: dict[str, float] = {}
    """Of the metrics, what runs before the present one have."""
    shown: dict[str, float] = {}
    """What the present run has by the names of contract 5.1: of the metrics, where it was made from
    telemetry; else what its reporter left out."""
    model: str | None = None
    failing: str | None = None
    """The last error, while nothing went well after it."""
    ends_us: int | None = None
    """When the agent said the session ended, by its own clock."""
    due_us: int | None = None
    """When to look at it again; None while nothing is left to do."""

    def measured(self) -> dict[str, float]:
        """What the metrics say was used, over the whole session."""
        sums = dict(self.deltas)
        for stream in self.streams.values():
            sums[stream.kind] = sums.get(stream.kind, 0) + stream.value
        return sums


def emptied(row: TelemetryRow) -> TelemetryRow:
    """The session without a run, for the next one to begin where this one stood."""
    return msgspec.structs.replace(
        row,
        run_id=None,
        own=True,
        made_us=None,
        counted=row.measured(),
        shown={},
        told={},
        failing=None,
        ends_us=None,
        due_us=None,
    )
