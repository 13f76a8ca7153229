"""The history checker finds nothing in what a real server did, and names every bug seeded into it.

The recording has two authors, one after the other by a claim, and readers that come back often.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from tests.faults.authors import Author
from tests.faults.doors import PATIENCE, Doors, doors_of
from tests.faults.history import RULES, History, Reading, Seen, Violation, violations
from tests.faults.readers import Reader, seen
from tests.processes import ServerProcess, wait_until

SEEDS: Final = 20
SHARE: Final = 60
"""Events of each author, at least."""
HELLO: Final = {
    "node_id": "n1",
    "process_id": "p1",
    "started_at": "2026-11-23T08:00:00Z",
    "time": "2026-11-23T08:00:00Z",
    "capacity": {"max_concurrent": 4},
    "agents": [{"type": "command"}],
    "runs": [],
}

RETURNS: Final = 3
"""Connections of each reader before the end is written."""

Bug = Callable[[History, random.Random], History]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> History:
    server = ServerProcess(tmp_path_factory.mktemp("recorded"))
    server.environment["RUNWATCH_LIMITS"] = PATIENCE
    with server:
        return asyncio.run(record(server))


async def record(server: ServerProcess) -> History:
    dice = random.Random(5)
    doors = doors_of([server])
    run_id = server.make_run(["true"], constraints={"node_id": "n1"})
    server.post("/api/v1/nodes/heartbeat", HELLO)
    server.wait_for_run(run_id, "assigned")
    first = author(server, "p1", doors, run_id, dice, None)
    readers = [Reader(f"reader {n}", doors, run_id, turn=n, batch=n == 1) for n in range(3)]
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.write(over), name="first author")
        for reader in readers:
            tasks.create_task(leaving(reader), name="reader")
        await until(lambda: first.acknowledged > SHARE)
        second = author(server, "p2", doors, run_id, dice, 1)
        tasks.create_task(second.write(over), name="second author")
        await until(lambda: first.fenced and second.acknowledged > first.acknowledged + SHARE)
        await until(lambda: all(len(reader.readings) >= RETURNS for reader in readers))
        over.set()
    return History(
        first.written() + second.written(),
        [seen(event) for event in server.events(run_id)],
        [reading for reader in readers for reading in reader.readings],
    )


def author(
    server: ServerProcess,
    process: str,
    doors: Doors,
    run_id: str,
    dice: random.Random,
    epoch: int | None,
) -> Author:
    """One process of the node, that claimed the run."""
    body: dict[str, Any] = {"node_id": "n1", "process_id": process}
    if epoch is not None:
        body["epoch"] = epoch
    claimed = server.post(f"/api/v1/runs/{run_id}/claim", body)
    return Author(
        process,
        doors,
        run_id,
        dice,
        epoch=claimed["lease"]["epoch"],
        first=claimed["next_seq"],
    )


async def leaving(reader: Reader) -> None:
    """Read to the end, leaving and coming back all the time."""
    while not (reader.readings and reader.readings[-1].ended):
        try:
            async with asyncio.timeout(0.25):
                await reader.read()
        except TimeoutError:
            reader.hang_up()


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, "the authors", 30)


def test_nothing_is_found_in_what_a_real_server_did(recorded: History) -> None:
    assert violations(recorded) == []
    assert recorded.written is not None
    assert {each.event.epoch for each in recorded.written if each.acknowledged} == {1, 2}
    assert {event.epoch for event in recorded.stored} == {1, 2}
    assert len(recorded.stored) > 2 * SHARE
    for name in ("reader 0", "reader 1", "reader 2"):
        own = [reading for reading in recorded.readings if reading.reader == name]
        assert len(own) > RETURNS
        assert own[-1].ended


def mapped(history: History, change: Callable[[Seen], Seen | None]) -> History:
    """A change to an event wherever it is: stored, read and written; None is nowhere."""

    def events(of: Sequence[Seen]) -> list[Seen]:
        return [new for event in of if (new := change(event)) is not None]

    assert history.written is not None
    written = [
        each._replace(event=new)
        for each in history.written
        if (new := change(each.event)) is not None
    ]
    readings = [each._replace(events=events(each.events)) for each in history.readings]
    return History(written, events(history.stored), readings)


def reread(history: History, number: int, events: Sequence[Seen]) -> History:
    """With other events in one reading."""
    readings = list(history.readings)
    readings[number] = readings[number]._replace(events=events)
    return history._replace(readings=readings)


def a_resumption(history: History, dice: random.Random) -> tuple[int, Reading]:
    """A reading behind others, with something in it."""
    return dice.choice(
        [(n, each) for n, each in enumerate(history.readings) if each.after and each.events]
    )


def a_tail_is_lost(history: History, dice: random.Random) -> History:
    """Acknowledged before it was committed, and the power went."""
    kept = len(history.stored) - dice.randint(1, 5)
    lost = mapped(history, lambda event: event if event.seq <= kept else None)
    return lost._replace(written=history.written)


def an_event_is_stored_twice(history: History, dice: random.Random) -> History:
    """A retry was not known for one."""
    at = dice.randrange(len(history.stored))
    stored = list(history.stored)
    return history._replace(stored=stored[: at + 1] + stored[at:])


def two_batches_change_places(history: History, dice: random.Random) -> History:
    """The order of the answers is not that of the commits."""
    at = dice.randrange(len(history.stored) - 4)
    stored = list(history.stored)
    stored[at : at + 4] = stored[at + 2 : at + 4] + stored[at : at + 2]
    return history._replace(stored=stored)


def a_number_is_used_for_nothing(history: History, dice: random.Random) -> History:
    """Taken from a counter by a transaction that was rolled back."""
    after = dice.randrange(len(history.stored))

    def moved(seq: int) -> int:
        return seq + 1 if seq > after else seq

    holed = mapped(history, lambda event: event._replace(seq=moved(event.seq)))
    readings = [each._replace(after=moved(each.after)) for each in holed.readings]
    return holed._replace(readings=readings)


def an_event_is_another(history: History, dice: random.Random) -> History:
    """What was stored for a number was written over."""
    stored = list(history.stored)
    at = dice.randrange(len(stored) - 1)
    stored[at] = stored[at]._replace(content=stored[at + 1].content)
    return history._replace(stored=stored)


def a_reader_saw_what_was_rolled_back(history: History, dice: random.Random) -> History:
    """Told before the commit."""
    number, reading = a_resumption(history, dice)
    events = list(reading.events)
    events[-1] = events[-1]._replace(content="never stored")
    return reread(history, number, events)


def a_resumption_leaves_one_out(history: History, dice: random.Random) -> History:
    """Committed between the replay and the beginning of what is live."""
    number, reading = dice.choice(
        [(n, each) for n, each in enumerate(history.readings) if len(each.events) > 1]
    )
    events = list(reading.events)
    del events[dice.randrange(len(events) - 1)]
    return reread(history, number, events)


def the_end_comes_before_the_last_event(history: History, dice: random.Random) -> History:
    name = dice.choice(["reader 0", "reader 1", "reader 2"])
    *others, last = [each for each in history.readings if each.reader == name and each.events]
    early = last._replace(events=last.events[:-1], ended=True)
    rest = [each for each in history.readings if each.reader != name]
    return history._replace(readings=[*rest, *others, early])


def a_resumption_begins_too_early(history: History, dice: random.Random) -> History:
    """From the number that was asked for, not behind it."""
    number, reading = a_resumption(history, dice)
    return reread(history, number, [history.stored[reading.after - 1], *reading.events])


def what_is_live_overtakes_the_replay(history: History, dice: random.Random) -> History:
    number, reading = dice.choice(
        [(n, each) for n, each in enumerate(history.readings) if len(each.events) > 1]
    )
    at = dice.randrange(len(reading.events) - 1)
    events = list(reading.events)
    events[at : at + 2] = reversed(events[at : at + 2])
    return reread(history, number, events)


def two_hold_one_epoch(history: History, dice: random.Random) -> History:
    """A claim did not move the epoch on."""
    return mapped(history, lambda event: event._replace(epoch=1))


def an_old_holder_is_let_in(history: History, dice: random.Random) -> History:
    """The fence looked at an epoch that was no longer the current one."""
    assert history.written is not None
    late = dice.choice([event for event in history.stored if event.epoch == 2][1:])
    let_in = mapped(history, lambda event: event._replace(epoch=1) if event == late else event)
    assert let_in.written is not None
    written = [
        each._replace(author="p1") if each.event == late._replace(epoch=1) else each
        for each in let_in.written
    ]
    return let_in._replace(written=written)


BUGS: Final[dict[Bug, str]] = {
    a_tail_is_lost: "acknowledged",
    an_event_is_stored_twice: "unique",
    two_batches_change_places: "ordered",
    a_number_is_used_for_nothing: "dense",
    an_event_is_another: "unchanged",
    a_reader_saw_what_was_rolled_back: "unchanged",
    a_resumption_leaves_one_out: "resumable",
    the_end_comes_before_the_last_event: "resumable",
    a_resumption_begins_too_early: "unique",
    what_is_live_overtakes_the_replay: "ordered",
    two_hold_one_epoch: "one author",
    an_old_holder_is_let_in: "fenced",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_seeded_bug_is_named(recorded: History, bug: Bug) -> None:
    for seed in range(SEEDS):
        found = violations(bug(recorded, random.Random(seed)))
        assert BUGS[bug] in {violation.rule for violation in found}, (seed, found)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_alone_finds_a_bug_that_no_other_does(recorded: History, rule: str) -> None:
    """So none could be left out."""
    alone = [
        bug
        for bug in BUGS
        if {each.rule for each in violations(bug(recorded, random.Random(1)))} == {rule}
    ]
    assert alone != []


def test_a_violation_says_where(recorded: History) -> None:
    one = recorded._replace(stored=[*recorded.stored, recorded.stored[0]])
    last = len(recorded.stored)
    assert violations(one) == [
        Violation("ordered", f"the store: 1 comes behind {last}"),
        Violation("unique", "the store: 1 is there twice"),
    ]
