"""One state of everything in MongoDB for who keeps or moves it, see `keeping.protocols.Snapshot`:
a view that lasts as long as it is read.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from typing import Any, Final

from pymongo.database import Database

from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.keeping.protocols import PAGE, Head, StoredKept, StoredRun, Values
from runwatch_server.storage.mongo import counters, heading
from runwatch_server.storage.mongo.connecting import connect
from runwatch_server.storage.mongo.failures import Opening, Translated
from runwatch_server.storage.mongo.holds import Hold
from runwatch_server.storage.mongo.journal import FILLING, Journal
from runwatch_server.storage.mongo.matching import Fields
from runwatch_server.storage.mongo.runs import fields_of
from runwatch_server.storage.mongo.small import pending_alerts, replay_of
from runwatch_server.storage.mongo.state import number
from runwatch_server.storage.mongo.telemetry import digest_of
from runwatch_server.storage.mongo.view import View
from runwatch_shared.errors import StoreUnavailableError

ROWS: Final = 200
"""Read at once."""
NUMBERS: Final = 10_000
_LAST: Final = 2**62
_SPOKEN: Final = {
    "labels": "its labels are found by others than it has",
    "ended_us": "retention finds it as it is not",
    "kept": "retention finds it as it is not",
}
_BESIDE: Final = {
    "logs": "events",
    "specs": "a specification",
    "folds": "a fold",
    "leases": "a lease",
    "dues": "a moment to look at it",
}
"""What stands beside a run under its id."""


@contextmanager
def open_snapshot(url: str) -> Iterator["MongoSnapshot"]:
    """The last state a database has, kept for as long as it is read.

    Raises:
        SettingsError: The URL cannot be used.
        StoreError: It cannot be reached, has no store, or one that is being filled.
    """
    with Opening():
        client, database = connect(url)
    with closing(client), Translated():
        with Opening():
            store_id = heading.store_id_of(database)
        journal = Journal(database)
        if journal.filling() is not None:
            raise StoreUnavailableError(FILLING)
        at = journal.applied()
        with closing(_Held(database, at)) as held:
            yield MongoSnapshot(View(database, journal, at, lasting=held.require), store_id)


class _Held:
    """A hold that is let go of by `close`."""

    def __init__(self, database: Database[Fields], at: int) -> None:
        hold = Hold(database, at)
        self.require = hold.require
        self.close = hold.release


class MongoSnapshot:
    """Of one view."""

    def __init__(self, view: View, store_id: str) -> None:
        self._view = view
        self._store_id = store_id
        self._bytes = 0
        """Of the events that were counted by `held`."""
        self._small: dict[str, Callable[[], Iterator[Values]]] = {
            "tombstone": self._tombstones,
            "counter": self._counters,
            "prune": self._prunes,
            "alert": self._alerts,
            "user": self._users,
            "token": self._tokens,
            "session": self._sessions,
            "replay": self._replays,
        }

    def head(self) -> Head:
        thresholds = self._view.get("state", "thresholds")
        return Head(
            store_id=self._store_id,
            revision=number(self._view, "revision"),
            resumable=number(self._view, "resumable"),
            thresholds=None if thresholds is None else thresholds["value"],
        )

    def nodes(self) -> Iterator[str]:
        for row in self._all("nodes", "_id"):
            yield row["doc"]

    def tasks(self) -> Iterator[str]:
        for row in self._all("tasks", "created_us", "_id"):
            yield row["doc"]

    def runs(self) -> Iterator[StoredRun]:
        for row in self._all("runs", "created_us", "_id", fields=("created_us", "doc")):
            run_id = row["_id"]
            log, spec, fold, lease, due = (
                self._view.get(kind, run_id)
                for kind in ("logs", "specs", "folds", "leases", "dues")
            )
            yield StoredRun(
                key=None if log is None else log["log"],
                id=run_id,
                doc=row["doc"],
                due_us=None if due is None else due["due_us"],
                spec=None if spec is None else spec["doc"],
                fold=None if fold is None else fold["doc"],
                lease=None
                if lease is None
                else (lease["epoch"], lease["node_id"], lease["expires_us"]),
            )

    def steps(self, run: StoredRun) -> Iterator[Values]:
        for row in self._all("steps", "place", "_id", where={"run_id": run.id}):
            yield row["place"], row["doc"]

    def blocks(self, run: StoredRun) -> Iterator[Values]:
        for row in self._all("blocks", "block", "_id", where={"log": run.key}):
            yield row["block"], row["types"], row["levels"]

    def events(self, run: StoredRun) -> Iterator[list[EventRow]]:
        gathered: list[EventRow] = []
        for event in self._view.events(run.key, self._floor(run), _LAST):
            gathered.append(event)
            if len(gathered) == PAGE:
                yield gathered
                gathered = []
        if gathered:
            yield gathered

    def kept(self) -> Iterator[StoredKept]:
        for row in self._all("kept", "kind", "created_us", "_id"):
            _, _, row_id = row["_id"].partition(":")
            columns = {**row, "id": row_id}
            yield StoredKept(kind=row["kind"], id=row_id, doc=row["doc"], columns=columns)

    def small(self, kind: str) -> Iterator[Values]:
        return self._small[kind]()

    def telemetry(self) -> Iterator[tuple[Any, Values]]:
        for row in self._all("telemetry", "agent_type", "session_id", "_id"):
            names = ("agent_type", "session_id", "last_us", "due_us", "doc")
            yield int(row["_id"], 16), [row[name] for name in names]

    def seen(self, key: Any) -> Iterator[Values]:
        rows = self._all("seen", "number", "_id", where={"session": key})
        yield from sorted((digest_of(row["_id"]), row["number"]) for row in rows)

    def step_count(self, run: StoredRun) -> int:
        return sum(1 for _ in self.steps(run))

    def held(self, run: StoredRun) -> tuple[int, int | None, int | None]:
        count, first, last = 0, None, None
        at = self._floor(run) - 1
        while found := self._view.sizes(run.key, at + 1, limit=NUMBERS):
            count += len(found)
            first = found[0][0] if first is None else first
            at = last = found[-1][0]
            self._bytes += sum(size for _, size in found)
        return count, first, last

    def numbers(self, run: StoredRun, after: int, limit: int) -> list[int]:
        found = self._view.sizes(run.key, max(after + 1, self._floor(run)), limit=limit)
        return [seq for seq, _ in found]

    def misfiled(self, run: StoredRun, row: RunRow) -> Iterator[str]:
        stored = self._view.get("runs", run.id)
        assert stored is not None
        said = set()
        for name, expected in fields_of(row, run.doc).items():
            if stored.get(name) != expected:
                words = _SPOKEN.get(name, f"column {name} is not what its document says")
                if words not in said:
                    yield words
                said.add(words)
        log = self._view.get("logs", run.id)
        if log is None or log["last"] != row.last_seq:
            yield f"its log does not end at {row.last_seq}"

    def strays(self) -> Iterator[tuple[str, object]]:
        for kind, what in _BESIDE.items():
            yield from ((what, of) for of in self._missing(self._ids(kind)))
        steps = self._all("steps", "run_id", "_id", fields=("run_id",))
        yield from (("steps", of) for of in self._missing(row["run_id"] for row in steps))

    def astray(self) -> Iterator[str]:
        kept = number(self._view, "event_bytes")
        if kept != self._bytes:
            yield f"the events are said to have {kept} bytes, a recount gives {self._bytes}"

    def _floor(self, run: StoredRun) -> int:
        log = self._view.get("logs", run.id)
        return 1 if log is None else int(log["floor"])

    def _ids(self, kind: str) -> Iterator[str]:
        for row in self._all(kind, "_id", fields=("_id",)):
            yield row["_id"]

    def _missing(self, wanted: Iterator[str]) -> Iterator[str]:
        """Those of rising ids that are no run's, each once."""
        there = chain(self._ids("runs"), (None,))
        at, before = next(there), None
        for run_id in wanted:
            while at is not None and at < run_id:
                at = next(there)
            if at != run_id != before:
                yield run_id
            before = run_id

    def _tombstones(self) -> Iterator[Values]:
        for row in self._all("tombstones", "revision", "kind", "id", "_id"):
            names = ("kind", "id", "revision", "at_us", "process_id")
            yield [row[name] for name in names]

    def _counters(self) -> Iterator[Values]:
        yield from sorted(counters.all_of(self._view))

    def _prunes(self) -> Iterator[Values]:
        for row in self._all("prunes", "_id"):
            yield int(row["done"]), row["doc"]

    def _alerts(self) -> Iterator[Values]:
        yield from pending_alerts(self._view)

    def _users(self) -> Iterator[Values]:
        for row in self._all("users", "created_us", "_id"):
            yield (row["doc"],)

    def _tokens(self) -> Iterator[Values]:
        for row in self._all("tokens", "created_us", "_id"):
            yield row["doc"], row["last_used_us"]

    def _sessions(self) -> Iterator[Values]:
        for row in self._all("sessions", "_id"):
            yield [row[name] for name in ("_id", "user_id", "created_us", "expires_us", "ended_us")]

    def _replays(self) -> Iterator[Values]:
        """Sorted here: their ids are in another order than what they are made of."""
        for of, key in sorted((replay_of(key), key) for key in self._ids("replays")):
            row = self._view.get("replays", key)
            assert row is not None
            rest = (row["body_sha256"], row["status"], bytes(row["body"]), row["at_us"])
            yield (*of, *rest)

    def _all(
        self,
        kind: str,
        *order: str,
        where: Fields | None = None,
        fields: tuple[str, ...] | None = None,
    ) -> Iterator[Fields]:
        """Rows in rising order, read in stretches that each go on behind the one before."""
        beyond: Fields = {}
        while True:
            found = self._view.find(
                kind,
                {**(where or {}), **beyond},
                [(name, 1) for name in order],
                limit=ROWS,
                fields=fields,
            )
            yield from found
            if len(found) < ROWS:
                return
            beyond = _behind(found[-1], order)


def _behind(row: Fields, order: tuple[str, ...]) -> Fields:
    terms: list[Fields] = []
    same: Fields = {}
    for name in order:
        terms.append({**same, name: {"$gt": row[name]}})
        same[name] = row[name]
    # The first field bounds the part of an index that is looked through.
    return {order[0]: {"$gte": row[order[0]]}, "$or": terms}
