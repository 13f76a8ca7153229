"""What a store holds as records, in an order and form that are the same whatever the store is;
`loading` makes rows of them again.

Columns that can be told from a document are not in a record. A run's record is followed by those
of its steps, blocks and events, a telemetry record by the digests it has seen.
"""

from collections.abc import Iterator
from typing import Final

from runwatch_server.storage.keeping.archive import Header, Record
from runwatch_server.storage.sql.connection import Connection
from runwatch_server.version import VERSION

PAGE: Final = 100
"""Events of a run that are read at once; one has up to 256 KiB and its raw line."""
STEPS: Final = 500


def header_of(connection: Connection, *, made_us: int, access: bool) -> Header:
    """What stands over everything of a snapshot."""
    found = connection.one(connection.statements("keeping")["head"])
    assert found is not None
    store_id, revision, resumable, thresholds = found
    return Header(
        made_us=made_us,
        build=VERSION,
        store_id=store_id,
        revision=revision,
        resumable=resumable,
        thresholds=thresholds,
        access=access,
    )


def records(connection: Connection, *, access: bool) -> Iterator[Record]:
    """Everything a snapshot holds.

    Args:
        access: Whether users, sessions, tokens and answers to repeated requests are among it.
    """
    sql = connection.statements("keeping")
    for (doc,) in connection.iterate(sql["nodes"]):
        yield ("node", doc)
    for (task_id,) in connection.iterate(sql["tasks"]):
        yield ("task", connection.value(sql["task"], (task_id,)))
    for (key,) in connection.iterate(sql["runs"]):
        yield from _run(connection, key)
    for kind, *_, doc in connection.iterate(sql["kept"]):
        yield ("kept", kind, doc)
    for kind in ("tombstone", "counter", "prune"):
        for row in connection.iterate(sql[f"{kind}s"]):
            yield (kind, *row)
    for row in connection.iterate(connection.statements("alerts")["pending"]):
        yield ("alert", *row)
    yield from _telemetry(connection)
    if access:
        yield from _access(connection)


def _telemetry(connection: Connection) -> Iterator[Record]:
    sql = connection.statements("keeping")
    for key, *telemetry in connection.iterate(sql["telemetry"]):
        yield ("telemetry", *telemetry)
        for digest, number in connection.iterate(sql["seen"], (key,)):
            yield ("seen", digest, number)


def _run(connection: Connection, key: int) -> Iterator[Record]:
    sql = connection.statements("keeping")
    found = connection.one(sql["run"], (key,))
    assert found is not None
    run_id, doc, due_us, spec, fold, epoch, node_id, expires_us = found
    lease = None if epoch is None else (epoch, node_id, expires_us)
    yield ("run", doc, due_us, spec, fold, lease)
    at = -1
    while steps := connection.all(sql["steps"], (run_id, at, STEPS)):
        yield from (("step", n, text) for n, text in steps)
        at = steps[-1][0]
        if len(steps) < STEPS:
            break
    for row in connection.all(sql["blocks"], (key,)):
        yield ("block", *row)
    at = -1
    while events := connection.all(sql["events"], (key, at, PAGE)):
        for row in events:
            event = connection.event(row)
            raw = None if event.raw is None else event.raw.encode("utf-8", "surrogatepass")
            yield ("event", *event[:7], raw)
        at = events[-1][0]
        if len(events) < PAGE:
            break


def _access(connection: Connection) -> Iterator[Record]:
    sql, own = connection.statements("keeping"), connection.statements("access")
    for (doc,) in connection.iterate(own["users"]):
        yield ("user", doc)
    for row in connection.iterate(own["tokens"]):
        yield ("token", *row)
    for row in connection.iterate(sql["sessions"]):
        yield ("session", *row)
    for row in connection.iterate(sql["replays"]):
        yield ("replay", *row)
