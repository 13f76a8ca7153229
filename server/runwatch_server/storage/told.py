"""A commit as other servers are told of it: all but the events, which they read themselves."""

from typing import Final

import msgspec

from runwatch_server.alerts.row import AlertRow
from runwatch_server.kept import KeptRow
from runwatch_server.storage.kept import KeptChange
from runwatch_server.storage.kinds import any_row_of, text_of
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
    kept: list[tuple[str, str | None, str | None]] = []
    """Kind, document before, document after."""

    def kept_changes(self) -> list[KeptChange]:
        """Of the kinds this build has.

        Raises:
            msgspec.DecodeError: A document is another version's.
        """
        changes: list[KeptChange] = []
        for kind, *texts in self.kept:
            before, after = (None if text is None else any_row_of(kind, text) for text in texts)
            if before is not None or after is not None:
                changes.append(KeptChange(before, after))
        return changes


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
            kept=[_texts(change) for change in commit.kept],
        )
    )


def _texts(change: KeptChange) -> tuple[str, str | None, str | None]:
    def text(row: KeptRow | None) -> str | None:
        return None if row is None else text_of(row)

    row = change.before or change.after
    assert row is not None
    return (row.KIND, text(change.before), text(change.after))


def decode(doc: bytes) -> Told:
    return _DECODER.decode(doc)
