"""A store against a model of dictionaries: whatever is written, undone and deleted, both agree."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runwatch_server.rows import EventRow, RunFold, RunRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Commit, EventQuery, Query, WriteTx
from runwatch_shared.errors import ConflictError
from tests.mongo import MongoServer
from tests.storage.making import NOW_US, RULES, a_run, a_spec, an_event, run_id

NUMBERS = st.integers(0, 3)
STATUSES = st.sampled_from(["queued", "running", "done"])


class Undone(Exception):  # noqa: N818 - raised on purpose by works that are to be undone
    """A work that changed its mind."""


@dataclass
class Model:
    """What a store should hold."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    folds: dict[str, RunFold] = field(default_factory=dict)
    events: dict[str, list[EventRow]] = field(default_factory=dict)

    def copy(self) -> "Model":
        events = {key: list(rows) for key, rows in self.events.items()}
        return Model(dict(self.runs), dict(self.folds), events)


Step = Callable[[WriteTx, Model], None]


def insert(number: int, status: str) -> Step:
    def step(tx: WriteTx, model: Model) -> None:
        key = run_id(number)
        if key in model.runs:
            return
        model.runs[key] = tx.runs.insert(a_run(number, status=status), a_spec())
        model.events[key] = []

    return step


def append(number: int, count: int, status: str) -> Step:
    def step(tx: WriteTx, model: Model) -> None:
        before = tx.runs.get(run_id(number))
        assert before == model.runs.get(run_id(number))
        if before is None:
            return
        events = [an_event(before.last_seq + n) for n in range(1, count + 1)]
        after = msgspec.structs.replace(before, last_seq=before.last_seq + count, status=status)
        fold = RunFold(steps=after.last_seq)
        model.runs[before.id] = tx.runs.save(before, after, fold)
        model.folds[before.id] = fold
        tx.events.append(before.id, events)
        model.events[before.id] += events

    return step


def save_what_was(number: int) -> Step:
    """Save on the ground of a row that is not what is stored."""

    def step(tx: WriteTx, model: Model) -> None:
        row = tx.runs.get(run_id(number)) or a_run(number)
        stale = msgspec.structs.replace(row, epoch=row.epoch + 1)
        try:
            tx.runs.save(stale, msgspec.structs.replace(stale, name="stolen"))
        except ConflictError:
            return
        raise AssertionError("a stale row was saved")

    return step


def delete(number: int) -> Step:
    def step(tx: WriteTx, model: Model) -> None:
        row = tx.runs.get(run_id(number))
        if row is not None:
            tx.runs.delete(row)
        for part in (model.runs, model.folds, model.events):
            part.pop(run_id(number), None)

    return step


def change_mind(tx: WriteTx, model: Model) -> None:
    raise Undone


STEP = st.one_of(
    st.builds(insert, NUMBERS, STATUSES),
    st.builds(append, NUMBERS, st.integers(0, 5), STATUSES),
    st.builds(save_what_was, NUMBERS),
    st.builds(delete, NUMBERS),
)
WORK = st.tuples(st.lists(STEP, max_size=4), st.booleans())


class StoreMachine(RuleBasedStateMachine):
    """Groups of works, some of which are undone after they have written."""

    def url(self) -> str:
        return "sqlite:///:memory:"

    def __init__(self) -> None:
        super().__init__()
        self.store = open_store(self.url(), rules=RULES, synchronous="full")
        self.model = Model()
        self.revision = 0

    def teardown(self) -> None:
        self.store.close()

    @rule(works=st.lists(WORK, min_size=1, max_size=4))
    def write(self, works: list[tuple[list[Step], bool]]) -> None:
        before = self.model.copy()
        reached: list[Model] = [before]

        def made(index: int, steps: list[Step], undone: bool) -> Callable[[WriteTx], None]:
            def work(tx: WriteTx) -> None:
                # A work may run again, so it goes from the model before it, not from a leftover.
                model = reached[index].copy()
                del reached[index + 1 :]
                reached.append(reached[index])
                for step in (*steps, change_mind) if undone else steps:
                    step(tx, model)
                reached[index + 1] = model

            return work

        outcomes, commit = self.store.write_group(
            [made(index, *given) for index, given in enumerate(works)], NOW_US
        )
        for (_, undone), outcome in zip(works, outcomes, strict=True):
            assert isinstance(outcome.error, Undone) if undone else outcome.error is None
        self.model = reached[-1]
        if commit is not None:
            self.check_commit(commit, before)
            self.revision = commit.revision

    def check_commit(self, commit: Commit, before: Model) -> None:
        assert commit.revision - self.revision in {0, 1}
        told = {(change.after or change.before).id for change in commit.runs}  # type: ignore[union-attr]
        for change in commit.runs:
            key = (change.after or change.before).id  # type: ignore[union-attr]
            assert change.before == before.runs.get(key)
            assert change.after == self.model.runs.get(key)
        for key in before.runs.keys() | self.model.runs.keys():
            if before.runs.get(key) != self.model.runs.get(key):
                assert key in told
        for key, events in commit.events.items():
            assert self.model.events[key][len(self.model.events[key]) - len(events) :] == events

    @invariant()
    def the_store_holds_what_the_model_holds(self) -> None:
        with self.store.read() as tx:
            assert {row.id: row for row in tx.runs.page(Query(limit=100))} == self.model.runs
            for key, events in self.model.events.items():
                assert tx.events.between(key, 0, 2**40) == events
                page = tx.events.page(EventQuery(run_id=key, tail=True, limit=3))
                assert page.events == events[-3:]
            for key, fold in self.model.folds.items():
                assert tx.runs.fold(key) == fold
            assert tx.revision() == self.revision

    @invariant()
    def the_counters_count_what_is_there(self) -> None:
        with self.store.read() as tx:
            kept = {name: value for span, _, name, value in tx.counters() if span == "all"}
        for status in ("queued", "running", "done"):
            there = sum(row.status == status for row in self.model.runs.values())
            assert kept.get(f"run:status:{status}", 0) == there

    @precondition(lambda self: self.revision)
    @rule(data=st.data())
    def resume(self, data: Any) -> None:
        since = data.draw(st.integers(0, self.revision))
        with self.store.read() as tx:
            changed = tx.changed_since(since, limit=1000)
        assert changed is not None
        later = {key for key, row in self.model.runs.items() if row.revision > since}
        assert {row.id for row in changed.runs} == later


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
test_a_store_agrees_with_its_model = StoreMachine.TestCase


def test_mongodb_agrees_with_its_model(mongo_server: MongoServer) -> None:
    class OnMongo(StoreMachine):
        def url(self) -> str:
            return mongo_server.emptied()

    few = settings(max_examples=6, stateful_step_count=8, deadline=None)
    run_state_machine_as_test(OnMongo, settings=few)
