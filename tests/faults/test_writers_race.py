"""Processes that race for one epoch of a run, in many schedules: each epoch has one author.

On SQLite the works of a round are one group of the store's writer; on PostgreSQL they come from
two servers at the same moment.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import pytest

from runwatch_server import appends, health, leases, tally
from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Outcome, Rules, Store
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import ServerSettings
from tests.faults.history import History, Seen, violations
from tests.faults.racers import NODE, Racer, Work
from tests.faults.scenes import seeded, times_of
from tests.postgres import Cluster
from tests.server.domain.making import NOW_US
from tests.server.fleet.harbour import Harbour

SCHEDULES: Final = times_of("RUNWATCH_SCHEDULES", 500)
ON_POSTGRES: Final = times_of("RUNWATCH_SCHEDULES", 15)
ROUNDS: Final = 14
SEEDED: Final = 20
"""Schedules in which a seeded bug must show at least once."""


class Raced(NamedTuple):
    """What came of one schedule.

    Args:
        refused: What no process may be refused with.
    """

    history: History
    refused: list[BaseException]


Run = Callable[[Sequence[Work]], list[Outcome]]
"""Runs the works of a round, in any order; gives what came of each."""


class Quay(Harbour):
    """A harbour on a store of any kind."""

    def __init__(self, url: str) -> None:
        self.settings = ServerSettings()
        self.now_us = NOW_US
        self.commits = []
        self.store = opened(url, self.settings)
        self.online_node(NODE)


def opened(url: str, settings: ServerSettings) -> Store:
    rules = Rules(
        tally=partial(tally.of_run, day_start_us=lambda moment_us: 0),
        due_us=lambda row: health.due_us(row, settings),
    )
    return open_store(url, rules=rules, synchronous="full")


@pytest.fixture
def quay() -> Iterator[Quay]:
    quay = Quay("sqlite:///:memory:")
    yield quay
    quay.store.close()


def grouped(quay: Quay, dice: random.Random) -> Run:
    """One group of one writer."""

    def run(works: Sequence[Work]) -> list[Outcome]:
        order = list(range(len(works)))
        dice.shuffle(order)
        outcomes, _ = quay.store.write_group([works[n] for n in order], NOW_US)
        return [outcomes[order.index(n)] for n in range(len(works))]

    return run


@contextmanager
def side_by_side(quay: Quay, url: str) -> Iterator[Run]:
    """One server each, at the same moment."""
    with ExitStack() as stack:
        stores = [quay.store, opened(url, quay.settings), opened(url, quay.settings)]
        for store in stores[1:]:
            stack.callback(store.close)
        threads = stack.enter_context(ThreadPoolExecutor(len(stores)))

        def alone(store: Store, work: Work) -> Outcome:
            (outcome,), _ = store.write_group([work], NOW_US)
            return outcome

        yield lambda works: list(threads.map(alone, stores, works))


def race(quay: Quay, run_round: Run, dice: random.Random) -> Raced:
    """One schedule: a holder and two that want its place, or two that want a run nobody holds."""
    row = quay.assigned(NODE)
    racer = partial(Racer, run_id=row.id, settings=quay.settings, dice=dice)
    if dice.random() < 0.5:
        holder = racer("p0", knows=None)
        for _ in range(3):
            holder.told(run_round([holder.step()])[0])
        racers = [holder, racer("p1", knows=1), racer("p2", knows=1)]
    else:
        racers = [racer("p1", knows=None), racer("p2", knows=None)]
    for _ in range(ROUNDS):
        able = [each for each in racers if not each.fenced]
        if not able:
            break
        chosen = dice.sample(able, dice.randint(1, len(able)))
        outcomes = run_round([each.step() for each in chosen])
        for each, outcome in zip(chosen, outcomes, strict=True):
            each.told(outcome)
    stored = [as_seen(event) for event in quay.events(row.id)]
    quay.end(row)
    history = History([each for racer in racers for each in racer.written()], stored, [])
    return Raced(history, [each.failed for each in racers if each.failed is not None])


def as_seen(event: EventRow) -> Seen:
    payload = event.payload or b""
    return Seen(event.seq, event.epoch, payload.decode().split('"')[3])


def test_one_author_has_each_epoch_on_sqlite(quay: Quay) -> None:
    seed, dice = seeded()
    epochs = set()
    for schedule in range(SCHEDULES):
        history, refused = race(quay, grouped(quay, dice), dice)
        assert (violations(history), refused) == ([], []), (seed, schedule)
        epochs |= {event.epoch for event in history.stored}
    assert epochs == {1, 2}, seed


@pytest.mark.timeout(300)
def test_one_author_has_each_epoch_on_postgresql(postgres_cluster: Cluster) -> None:
    seed, dice = seeded()
    url = postgres_cluster.database()
    quay = Quay(url)
    epochs = set()
    with side_by_side(quay, url) as run_round:
        for schedule in range(ON_POSTGRES):
            history, refused = race(quay, run_round, dice)
            assert (violations(history), refused) == ([], []), (seed, schedule)
            epochs |= {event.epoch for event in history.stored}
    quay.store.close()
    assert epochs == {1, 2}, seed


def found_in(quay: Quay) -> set[str]:
    """In some schedules of a server with a bug: the rules broken, the codes of wrong refusals."""
    dice = random.Random(3)
    found = set()
    for _ in range(SEEDED):
        history, refused = race(quay, grouped(quay, dice), dice)
        found |= {each.rule for each in violations(history)}
        found |= {each.code for each in refused if isinstance(each, RefusedError)}
    return found


def test_a_claim_that_does_not_move_the_epoch_on_would_be_seen(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = leases._granted

    def same_epoch(tx: Any, row: RunRow, epoch: int, *rest: Any) -> leases.Claim:
        return granted(tx, row, max(row.epoch, 1), *rest)

    monkeypatch.setattr(leases, "_granted", same_epoch)
    assert "one author" in found_in(quay)


def test_a_fence_that_lets_an_old_epoch_in_would_be_seen(
    quay: Quay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appends, "_holder", lambda tx, row, batch, **_: row)
    # What an old holder gets in takes the numbers of the new one.
    assert "seq_conflict" in found_in(quay)
