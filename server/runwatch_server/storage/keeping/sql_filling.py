"""Filling an empty store on SQL, see `protocols.Filling`."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.keeping.archive import Header
from runwatch_server.storage.keeping.fitting import event_of, kept_of, misplaced, not_empty
from runwatch_server.storage.kinds import columns_of
from runwatch_server.storage.protocols import Commit
from runwatch_server.storage.sql import kept
from runwatch_server.storage.sql.bulk import BulkInsert
from runwatch_server.storage.sql.connection import WritingConnection
from runwatch_server.storage.sql.documents import NODE, RUN, TASK, TOKEN, USER
from runwatch_server.storage.sql.run_columns import values_of
from runwatch_server.storage.sql.runs import ended_values
from runwatch_server.storage.sql.tasks import values_of_task
from runwatch_server.storage.statements import statement
from runwatch_shared.errors import StoreError

ACCESS: Final = ("users", "sessions", "tokens", "replays")
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


class SqlFilling:
    """Records are taken in the order `records` gives them, in one transaction of ``connection``."""

    def __init__(self, connection: WritingConnection) -> None:
        self.connection = connection
        self._sql = connection.statements("keeping")
        self._rows: dict[str, list[Sequence[Any]]] = {table: [] for table in _COLUMNS}
        self._bytes = dict.fromkeys(_COLUMNS, 0)
        self._run: tuple[int, str] | None = None
        """(key, id) of the run whose steps, blocks and events come."""
        self._events: list[EventRow] = []
        self._event_bytes = 0
        self._session: int | None = None
        """Key of the telemetry whose digests come."""
        self.takes: Mapping[str, Callable[..., None]] = {
            "node": self._node,
            "task": self._task,
            "run": self._begin_run,
            "step": self._step,
            "block": self._block,
            "event": self._event,
            "telemetry": self._telemetry,
            "seen": self._seen,
            "kept": self._kept,
            "user": self._user,
            "token": self._token,
            "tombstone": self._as_it_is("tombstones"),
            "counter": self._as_it_is("counters"),
            "prune": self._as_it_is("prunes"),
            "alert": self._as_it_is("alerts"),
            "session": self._as_it_is("sessions"),
            "replay": self._as_it_is("replays"),
        }

    def begin(self, *, access: bool) -> None:
        """See `protocols.Filling.begin`."""
        self.connection.begin()
        if self.connection.value(self._sql["busy"]):
            raise StoreError(
                "a server is at work on this database, or was until less than 5 minutes ago"
            )
        for table in (*TABLES, *(ACCESS if access else ())):
            if self.connection.value(statement(f"SELECT 1 FROM {table} LIMIT 1")) is not None:
                raise not_empty(table, access=table in ACCESS)

    def settle(self) -> None:
        self._write_events()
        for table in self._rows:
            self._write(table)

    def finish(self, header: Header, now_us: int) -> None:
        """See `protocols.Filling.finish`."""
        connection = self.connection
        connection.run(self._sql["set_id"], (secrets.token_hex(8),))
        connection.run(self._sql["set_resumable"], (header.resumable,))
        if header.thresholds is not None:
            housekeeping = connection.statements("housekeeping")
            connection.run(housekeeping["set_thresholds"], (header.thresholds,))
        connection.commit(
            Commit(
                revision=header.revision, at_us=now_us, runs=[], nodes=[], tasks=[], events={},
                counts=[],
            )
        )  # fmt: skip

    def undo(self) -> None:
        self.connection.rollback()

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
        key = self.connection.value(self._sql["insert_run"], (*values_of(row), due_us, doc))
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
        self._of_run()
        event = event_of(*values)
        self._events.append(event)
        self._event_bytes += len(event.payload or b"") + len(values[-1] or b"")
        if len(self._events) >= GATHERED or self._event_bytes >= GATHERED_BYTES:
            self._write_events()

    def _write_events(self) -> None:
        if self._events:
            self.connection.append_events(self._of_run()[0], self._events)
            self._events, self._event_bytes = [], 0

    def _of_run(self) -> tuple[int, str]:
        return misplaced() if self._run is None else self._run

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
        self._add("kept", *columns_of(kept_of(kind, doc)).values(), doc)

    def _user(self, doc: str) -> None:
        row = USER.row(doc)
        self._add("users", row.id, row.email, row.created_us, doc)

    def _token(self, doc: str, last_used_us: int | None) -> None:
        row = TOKEN.row(doc)
        self._add("tokens", row.id, row.created_us, last_used_us, doc)

    def _telemetry(self, *values: Any) -> None:
        self._session = self.connection.value(
            self.connection.statements("telemetry")["insert"], values
        )

    def _seen(self, digest: int, number: int) -> None:
        if self._session is None:
            misplaced()
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
            _INSERTS[table].run(self.connection, self._rows[table])
            self._rows[table], self._bytes[table] = [], 0
