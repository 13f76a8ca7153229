"""What a store holds as records, in an order and form that are the same whatever the store is;
`loading` makes rows of them again.

Columns that can be told from a document are not in a record. A run's record is followed by those
of its steps, blocks and events, a telemetry record by the digests it has seen.
"""

from collections.abc import Iterator
from typing import Final

from runwatch_server.storage.keeping.archive import Header, Record
from runwatch_server.storage.keeping.protocols import Snapshot, StoredRun
from runwatch_server.version import VERSION

SMALL: Final = ("tombstone", "counter", "prune", "alert")
"""Kinds of which a record is a row as it is."""
OF_ACCESS: Final = ("user", "token", "session", "replay")


def header_of(snapshot: Snapshot, *, made_us: int, access: bool) -> Header:
    """What stands over everything of a snapshot."""
    head = snapshot.head()
    return Header(
        made_us=made_us,
        build=VERSION,
        store_id=head.store_id,
        revision=head.revision,
        resumable=head.resumable,
        thresholds=head.thresholds,
        access=access,
    )


def records(snapshot: Snapshot, *, access: bool) -> Iterator[Record]:
    """Everything a snapshot holds.

    Args:
        access: Whether users, sessions, tokens and answers to repeated requests are among it.
    """
    for doc in snapshot.nodes():
        yield ("node", doc)
    for doc in snapshot.tasks():
        yield ("task", doc)
    for run in snapshot.runs():
        yield from _run(snapshot, run)
    for row in snapshot.kept():
        yield ("kept", row.kind, row.doc)
    yield from _small(snapshot, SMALL)
    yield from _telemetry(snapshot)
    if access:
        yield from _small(snapshot, OF_ACCESS)


def _telemetry(snapshot: Snapshot) -> Iterator[Record]:
    for key, telemetry in snapshot.telemetry():
        yield ("telemetry", *telemetry)
        for row in snapshot.seen(key):
            yield ("seen", *row)


def _small(snapshot: Snapshot, kinds: tuple[str, ...]) -> Iterator[Record]:
    for kind in kinds:
        for row in snapshot.small(kind):
            yield (kind, *row)


def _run(snapshot: Snapshot, run: StoredRun) -> Iterator[Record]:
    yield ("run", run.doc, run.due_us, run.spec, run.fold, run.lease)
    for row in snapshot.steps(run):
        yield ("step", *row)
    for row in snapshot.blocks(run):
        yield ("block", *row)
    for events in snapshot.events(run):
        for event in events:
            raw = None if event.raw is None else event.raw.encode("utf-8", "surrogatepass")
            yield ("event", *event[:7], raw)
