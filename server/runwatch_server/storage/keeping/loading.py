"""Making rows of the records of an archive, in an empty store and one transaction."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import msgspec

from runwatch_server.rows import EventRow
from runwatch_server.storage.keeping.archive import Header, Record
from runwatch_server.storage.kinds import any_row_of
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.sql import kept
from runwatch_server.storage.sql.bulk import BulkInsert
from runwatch_server.storage.sql.connection import Connection, WritingConnection
from runwatch_server.storage.sql.documents import NODE, RUN, TASK, TOKEN, USER
from runwatch_server.storage.sql.run_columns import values_of
from runwatch_server.storage.sql.runs import ended_values
from runwatch_server.storage.sql.tasks import values_of_task
from runwatch_server.storage.statements import statement
from runwatch_shared.errors import StoreError

ACCESS: Final = ("users", "sessions", "tokens", "replays")
_OF_ACCESS: Final = frozenset({"user", "session", "token", "replay"})
TABLES: Final = (
    "runs", "run_labels", "run_specs", "run_folds", "steps", "events", "event_blocks",
    "ended_runs", "leases", "tasks", "task_labels", "nodes", "tombstones", "counters", "prunes",
    "alerts", "telemetry", "telemetry_seen", "kept",
)  # fmt: skip
GATHERED: Final = 128
"""Rows of a table that are inserted at once."""
GATHERED_BYTES: Final = 4 * 1024 * 1024
"""Of the texts and bytes among the rows of a table that wait to be inserted, about."""

_COLUMNS: Final = {
    "run_labels": ("run_id", "name", "value"),
    "run_specs": ("run_id", "doc"),
    "run_folds": ("run_id", "doc"),
    "steps": ("run_id", "n", "doc"),
    "event_blocks": ("run", "block", "types", "levels"),
    "ended_runs": ("run", "ended_us", "kept"),
    "leases": ("run_id", "epoch", "node_id", "expires_us"),
    "tasks": ("id", "status", "parent_id", "created_us", "search", "revision", "doc"),
    "task_labels": ("task_id", "name", "value"),
    "nodes": ("id", "revision", "doc"),
    "tombstones": ("kind", "id", "revision", "at_us", "process_id"),
    "counters": ("span", "start_us", "name", "value"),
    "prunes": ("done", "doc"),
    "alerts": ("id", "run_id", "kind", "at_us", "revision", "text", "workflow", "attempts"),
    "telemetry_seen": ("session", "digest", "n"),
    "kept": kept.COLUMNS,
    "users": ("id", "email", "created_us", "doc"),
    "tokens": ("id", "created_us", "last_used_us", "doc"),
    "sessions": ("id", "user_id", "created_us", "expires_us", "ended_us"),
    "replays": ("principal", "route", "key", "body_sha256", "status", "body", "at_us"),
}
"""Tables whose rows are gathered; those of runs, events and telemetry go one by one or by run."""
_INSERTS: Final = {
    table: BulkInsert(f"INSERT INTO {table}({', '.join(names)})", table=table, columns=len(names))
    for table, names in _COLUMNS.items()
}


def require_empty(connection: Connection, *, access: bool) -> None:
    """Refuse a store that has anything an archive would bring.

    Args:
        access: Whether the archive brings users and tokens too.

    Raises:
        StoreError: It is not empty.
    """
    for table in (*TABLES, *(ACCESS if access else ())):
        if connection.value(statement(f"SELECT 1 FROM {table} LIMIT 1")) is not None:
            hint = "; leave them as they are with --without-access" if table in ACCESS else ""
            raise StoreError(f"the store is not empty, it has {table}{hint}")


def load(
    connection: WritingConnection,
    header: Header,
    records: Iterable[Record],
    *,
    now_us: int,
    access: bool = True,
) -> dict[str, int]:
    """Fill an empty store; commits when everything is in it, or leaves it as it was.

    It gets an id of its own: its history begins here, and consoles shall take it in anew.

    Args:
        access: Whether to take users, sessions, tokens and answers to repeated requests too.

    Returns:
        How many records of each kind were taken.

    Raises:
        StoreError: The store is not empty, or a record does not fit.
    """
    connection.begin()
    try:
        sql = connection.statements("keeping")
        if connection.value(sql["busy"]):
            raise StoreError(
                "a server is at work on this database, or was until less than 5 minutes ago"
            )
        require_empty(connection, access=header.access and access)
        wanted = records if access else (each for each in records if each[0] not in _OF_ACCESS)
        counts = _Loading(connection).take(wanted)
        connection.run(sql["set_id"], (secrets.token_hex(8),))
        connection.run(sql["set_resumable"], (header.resumable,))
        if header.thresholds is not None:
            housekeeping = connection.statements("housekeeping")
            connection.run(housekeeping["set_thresholds"], (header.thresholds,))
        connection.commit(
            Commit(
                revision=header.revision, at_us=now_us, runs=[], nodes=[], tasks=[], events={},
                counts=[],
            )
        )  # fmt: skip
    except BaseException:
        connection.rollback()
        raise
    return counts


class _Loading:
    """Records being taken, in the order `records` gives them."""

    def __init__(self, connection: WritingConnection) -> None:
        self._connection = connection
        self._sql = connection.statements("keeping")
        self._rows: dict[str, list[Sequence[Any]]] = {table: [] for table in _COLUMNS}
        self._bytes = dict.fromkeys(_COLUMNS, 0)
        self._run: tuple[int, str] | None = None
        """(key, id) of the run whose steps, blocks and events come."""
        self._events: list[EventRow] = []
        self._event_bytes = 0
        self._session: int | None = None
        """Key of the telemetry whose digests come."""
        self._takes: dict[str, Callable[..., None]] = {
            "node": self._node,
            "task": self._task,
            "run": self._begin_run,
            "step": self._step,
            "block": self._block,
            "event": self._event,
            "telemetry": self._telemetry,
            "seen": self._seen,
            "user": self._user,
            "token": self._token,
            "kept": self._kept,
            "tombstone": self._as_it_is("tombstones"),
            "counter": self._as_it_is("counters"),
            "prune": self._as_it_is("prunes"),
            "alert": self._as_it_is("alerts"),
            "session": self._as_it_is("sessions"),
            "replay": self._as_it_is("replays"),
        }

    def take(self, records: Iterable[Record]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for kind, *values in records:
            take = self._takes.get(kind)
            if take is None:
                raise StoreError(f"there is a record of a kind this build does not know: {kind!r}")
            counts[kind] += 1
            with _fitting(f"a record of kind {kind!r}"):
                take(*values)
        with _fitting("a record among the last"):
            self._write_events()
            for table in self._rows:
                self._write(table)
        return dict(counts)

    def _begin_run(
        self,
        doc: str,
        due_us: int | None,
        spec: str | None,
        fold: str | None,
        lease: Sequence[Any] | None,
    ) -> None:
        self._write_events()
        row = RUN.row(doc)
        key = self._connection.value(self._sql["insert_run"], (*values_of(row), due_us, doc))
        self._run = (key, row.id)
        if spec is not None:
            self._add("run_specs", row.id, spec)
        if fold is not None:
            self._add("run_folds", row.id, fold)
        if lease is not None:
            self._add("leases", row.id, *lease)
        for name, value in row.labels.items():
            self._add("run_labels", row.id, name, value)
        ended = ended_values(row)
        if ended is not None:
            self._add("ended_runs", key, *ended)

    def _step(self, n: int, doc: str) -> None:
        self._add("steps", self._of_run()[1], n, doc)

    def _block(self, block: int, types: int, levels: int) -> None:
        self._add("event_blocks", self._of_run()[0], block, types, levels)

    def _event(self, *values: Any) -> None:
        *known, raw = values
        self._of_run()
        text = None if raw is None else raw.decode("utf-8", "surrogatepass")
        event = EventRow._make((*known, text))
        payload = event.payload
        self._events.append(event)
        self._event_bytes += len(payload or b"") + len(raw or b"")
        if len(self._events) >= GATHERED or self._event_bytes >= GATHERED_BYTES:
            self._write_events()

    def _write_events(self) -> None:
        if self._events:
            self._connection.append_events(self._of_run()[0], self._events)
            self._events, self._event_bytes = [], 0

    def _of_run(self) -> tuple[int, str]:
        return _misplaced() if self._run is None else self._run

    def _node(self, doc: str) -> None:
        row = NODE.row(doc)
        self._add("nodes", row.id, row.revision, doc)

    def _task(self, doc: str) -> None:
        row = TASK.row(doc)
        *known, _ = values_of_task(row)
        self._add("tasks", row.id, *known, doc)
        for name, value in row.labels.items():
            self._add("task_labels", row.id, name, value)

    def _kept(self, kind: str, doc: str) -> None:
        row = any_row_of(kind, doc)
        if row is None:
            raise StoreError(f"there is a row of a kind this build does not know: {kind!r}")
        self._add("kept", *kept.values_of(row))

    def _user(self, doc: str) -> None:
        row = USER.row(doc)
        self._add("users", row.id, row.email, row.created_us, doc)

    def _token(self, doc: str, last_used_us: int | None) -> None:
        row = TOKEN.row(doc)
        self._add("tokens", row.id, row.created_us, last_used_us, doc)

    def _telemetry(self, *values: Any) -> None:
        self._session = self._connection.value(
            self._connection.statements("telemetry")["insert"], values
        )

    def _seen(self, digest: int, number: int) -> None:
        if self._session is None:
            _misplaced()
        self._add("telemetry_seen", self._session, digest, number)

    def _as_it_is(self, table: str) -> Callable[..., None]:
        def take(*values: Any) -> None:
            self._add(table, *values)

        return take

    def _add(self, table: str, *values: Any) -> None:
        if len(values) != len(_COLUMNS[table]):
            raise ValueError(f"{table} has other columns")
        rows = self._rows[table]
        rows.append(values)
        self._bytes[table] += sum(len(value) for value in values if isinstance(value, str | bytes))
        if len(rows) >= GATHERED or self._bytes[table] >= GATHERED_BYTES:
            self._write(table)

    def _write(self, table: str) -> None:
        if self._rows[table]:
            _INSERTS[table].run(self._connection, self._rows[table])
            self._rows[table], self._bytes[table] = [], 0


@contextmanager
def _fitting(what: str) -> Iterator[None]:
    """What cannot be taken is the archive's fault."""
    try:
        yield
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreError(f"{what} does not fit") from error


def _misplaced() -> NoReturn:
    raise ValueError("it stands without what it is of")
