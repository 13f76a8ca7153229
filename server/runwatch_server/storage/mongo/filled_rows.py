"""Records of an archive as rows of MongoDB, gathered to be inserted many at once; what begins and
commits them is `filling`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from runwatch_server.alerts.row import AlertRow
from runwatch_server.rows import RunRow
from runwatch_server.storage.keeping.fitting import event_of, kept_of, misplaced
from runwatch_server.storage.mongo import access, counters, kept, nodes, small
from runwatch_server.storage.mongo import runs as run_rows
from runwatch_server.storage.mongo import tasks as task_rows
from runwatch_server.storage.mongo import telemetry as telemetry_rows
from runwatch_server.storage.mongo.collections import EVENTS
from runwatch_server.storage.mongo.journal import bytes_of, document_of
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.sql.documents import NODE, PRUNE, RUN, TASK, TOKEN, USER

GATHERED: Final = 500
"""Rows of a collection that are inserted at once."""
GATHERED_BYTES: Final = 4 * 1024 * 1024


class FilledRows:
    """Records are taken in the order `keeping.records` gives them.

    Attributes:
        takes: See `keeping.protocols.Filling.takes`.
        number: Of the entry of the journal that every row carries.
        event_bytes: Of the events that were taken.
        counts: The last number that was given, of each kind that has numbers.
    """

    def __init__(self, write: Callable[[str, Sequence[Fields]], None]) -> None:
        self._insert = write
        self.number = 0
        self.event_bytes = 0
        self.counts = {"prunes": 0, "alerts": 0, "telemetry": 0}
        self._rows: dict[str, list[Fields]] = {}
        self._bytes: dict[str, int] = {}
        self._run: tuple[RunRow, Fields] | None = None
        """The run whose steps, blocks and events come, with its log."""
        self._logs = 0
        self._session = 0
        self.takes: Mapping[str, Callable[..., None]] = {
            "node": self._node,
            "task": self._task,
            "run": self._begin_run,
            "step": self._step,
            "block": self._block,
            "event": self._event,
            "tombstone": self._tombstone,
            "counter": self._counter,
            "prune": self._prune,
            "alert": self._alert,
            "telemetry": self._telemetry,
            "seen": self._seen,
            "kept": self._kept,
            "user": self._user,
            "token": self._token,
            "session": self._a_session,
            "replay": self._replay,
        }

    def settle(self) -> None:
        """Write what is still gathered."""
        self._end_run()
        for kind in self._rows:
            self._write(kind)

    def _node(self, doc: str) -> None:
        row = NODE.row(doc)
        self._add("nodes", row.id, nodes.fields_of(row, doc))

    def _task(self, doc: str) -> None:
        row = TASK.row(doc)
        self._add("tasks", row.id, task_rows.fields_of(row, doc))

    def _begin_run(
        self,
        doc: str,
        due_us: int | None,
        spec: str | None,
        fold: str | None,
        lease: Sequence[Any] | None,
    ) -> None:
        self._end_run()
        row = RUN.row(doc)
        self._add("runs", row.id, run_rows.fields_of(row, doc))
        if due_us is not None:
            self._add("dues", row.id, {"due_us": due_us})
        if spec is not None:
            self._add("specs", row.id, {"doc": spec})
        if fold is not None:
            self._add("folds", row.id, {"doc": fold})
        if lease is not None:
            epoch, node_id, expires_us = lease
            fields = {"epoch": epoch, "node_id": node_id, "expires_us": expires_us}
            self._add("leases", row.id, fields)
        self._logs += 1
        log = f"{self.number:x}.{self._logs:x}"
        self._run = row, {"log": log, "floor": 1, "last": row.last_seq, "bytes": 0}

    def _end_run(self) -> None:
        """The log of the run that came is written when it is known how much it holds."""
        if self._run is not None:
            row, log = self._run
            self._add("logs", row.id, log)
            self.event_bytes += log["bytes"]
            self._run = None

    def _step(self, n: int, doc: str) -> None:
        row, _ = self._of_run()
        fields = {"run_id": row.id, "place": n, "doc": doc}
        self._add("steps", run_rows.step_key(row.id, n), fields)

    def _block(self, block: int, types: int, levels: int) -> None:
        _, log = self._of_run()
        fields = {"log": log["log"], "block": block, "types": types, "levels": levels}
        self._add("blocks", f"{log['log']}:{block:016x}", fields)

    def _event(self, *values: Any) -> None:
        _, log = self._of_run()
        event = event_of(*values)
        size = bytes_of(event)
        log["bytes"] += size
        self._gather(EVENTS, document_of(log["log"], event, self.number), size)

    def _of_run(self) -> tuple[RunRow, Fields]:
        return misplaced() if self._run is None else self._run

    def _tombstone(
        self, kind: str, key: str, revision: int, at_us: int, process_id: str | None
    ) -> None:
        fields = {
            "kind": kind, "id": key, "revision": revision, "at_us": at_us, "process_id": process_id,
        }  # fmt: skip
        self._add("tombstones", f"{kind}:{key}", fields)

    def _counter(self, span: str, start_us: int, name: str, value: float) -> None:
        fields = {"span": span, "start_us": start_us, "name": name, "value": float(value)}
        self._add("counters", counters.key_of(span, start_us, name), fields)

    def _prune(self, done: int, doc: str) -> None:
        row = msgspec.structs.replace(PRUNE.row(doc), done=bool(done))
        self._add("prunes", small.prune_key(self._next("prunes")), small.prune_fields(row, doc))

    def _alert(self, *values: Any) -> None:
        row = AlertRow._make(values)
        self._add("alerts", row.id, {**row._asdict(), "place": self._next("alerts")})

    def _telemetry(
        self, agent_type: str, session_id: str, last_us: int, due_us: int | None, doc: str
    ) -> None:
        self._session = self._next("telemetry")
        fields = {
            "agent_type": agent_type, "session_id": session_id, "last_us": last_us,
            "due_us": due_us, "doc": doc,
        }  # fmt: skip
        self._add("telemetry", telemetry_rows.key_of(self._session), fields)

    def _seen(self, digest: int, number: int) -> None:
        if not self._session:
            misplaced()
        key = telemetry_rows.seen_key(self._session, digest)
        self._add("seen", key, {"session": self._session, "number": number})

    def _kept(self, kind: str, doc: str) -> None:
        row = kept_of(kind, doc)
        self._add("kept", row.key, kept.fields_of(row, doc))

    def _user(self, doc: str) -> None:
        row = USER.row(doc)
        self._add("users", row.id, access.user_fields(row, doc))

    def _token(self, doc: str, last_used_us: int | None) -> None:
        row = TOKEN.row(doc)
        self._add("tokens", row.id, access.token_fields(row, last_used_us, doc))

    def _a_session(
        self, key: str, user_id: str, created_us: int, expires_us: int, ended_us: int | None
    ) -> None:
        fields = {
            "user_id": user_id, "created_us": created_us, "expires_us": expires_us,
            "ended_us": ended_us,
        }  # fmt: skip
        self._add("sessions", key, fields)

    def _replay(
        self,
        principal: str,
        route: str,
        key: str,
        body_sha256: str,
        status: int,
        body: bytes,
        at_us: int,
    ) -> None:
        fields = {"body_sha256": body_sha256, "status": status, "body": body, "at_us": at_us}
        self._add("replays", small.replay_key(principal, route, key), fields)

    def _next(self, name: str) -> int:
        self.counts[name] += 1
        return self.counts[name]

    def _add(self, kind: str, key: str, fields: Fields) -> None:
        size = sum(len(value) for value in fields.values() if isinstance(value, str | bytes))
        self._gather(kind, {**fields, "_id": key, "n": self.number}, size)

    def _gather(self, kind: str, row: Fields, size: int) -> None:
        rows = self._rows.setdefault(kind, [])
        rows.append(row)
        self._bytes[kind] = self._bytes.get(kind, 0) + size
        if len(rows) >= GATHERED or self._bytes[kind] >= GATHERED_BYTES:
            self._write(kind)

    def _write(self, kind: str) -> None:
        rows = self._rows[kind]
        self._rows[kind], self._bytes[kind] = [], 0
        if rows:
            self._insert(kind, rows)
