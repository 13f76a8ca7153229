"""A commit as other servers are told of it: all but the events, which they read themselves."""

from typing import Final

import msgspec

from runwatch_server.alerts.row import AlertRow
from runwatch_server.storage.protocols import Commit, NodeChange, RunChange, Span, TaskChange


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """`protocols.Commit` with the first and last number of each run's events in their place."""

    revision: int
    at_us: int
    runs: list[RunChange]
    nodes: list[NodeChange]
    tasks: list[TaskChange]
    events: dict[str, tuple[int, int]]
    counts: list[tuple[Span, int, str, float]]
    alerts: list[AlertRow]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Told)


def encode(commit: Commit) -> bytes:
    return _ENCODER.encode(
        Told(
            revision=commit.revision,
            at_us=commit.at_us,
            runs=commit.runs,
            nodes=commit.nodes,
            tasks=commit.tasks,
            events={
                run_id: (events[0].seq, events[-1].seq)
                for run_id, events in commit.events.items()
                if events
            },
            counts=commit.counts,
            alerts=commit.alerts,
        )
    )


def decode(doc: bytes) -> Told:
    return _DECODER.decode(doc)
