"""Whether the history of one run is whole: what its authors wrote, what is stored, what was read.

Pure: no server, no socket, no clock. Who records a history is `authors` and `readers`; that each
rule finds what it is for is shown by `test_history`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple


class Seen(NamedTuple):
    """One event, wherever it was seen; ``content`` is all of it that its author decided."""

    seq: int
    epoch: int
    content: str


class Written(NamedTuple):
    """One event as an author sent it at least once.

    Args:
        acknowledged: Whether any answer said that it is stored.
    """

    author: str
    event: Seen
    acknowledged: bool


class Reading(NamedTuple):
    """One connection of a reader.

    Args:
        after: The number it asked to go on behind.
        ended: Whether it was told that the run is over, and so has everything.
    """

    reader: str
    after: int
    events: Sequence[Seen]
    ended: bool


class History(NamedTuple):
    """Of one run.

    Args:
        written: By all its authors, in any order; None where they were not listened to, as with a
            real node, whose own numbers the caller compares.
        stored: As the store gives them in the end.
        readings: Of each reader in the order of its connections.
    """

    written: Sequence[Written] | None
    stored: Sequence[Seen]
    readings: Sequence[Reading]


class Violation(NamedTuple):
    """A rule that does not hold, and the first place."""

    rule: str
    what: str


def violations(history: History) -> list[Violation]:
    """Every rule that does not hold, one each, in the order of `RULES`."""
    found = []
    for rule, broken in RULES.items():
        what = next(broken(history), None)
        if what is not None:
            found.append(Violation(rule, what))
    return found


def _lists(history: History) -> Iterator[tuple[str, Sequence[Seen]]]:
    """The stored events, and what each connection gave."""
    yield "the store", history.stored
    for reading in history.readings:
        yield f"{reading.reader} behind {reading.after}", reading.events


def _ordered(history: History) -> Iterator[str]:
    for where, events in _lists(history):
        for before, event in pairwise(events):
            if event.seq < before.seq:
                yield f"{where}: {event.seq} comes behind {before.seq}"


def _unique(history: History) -> Iterator[str]:
    yield from _twice("the store", history.stored)
    for reader, readings in _by_reader(history).items():
        yield from _twice(reader, (event for each in readings for event in each.events))


def _twice(where: str, events: Iterable[Seen]) -> Iterator[str]:
    met: set[int] = set()
    for event in events:
        if event.seq in met:
            yield f"{where}: {event.seq} is there twice"
        met.add(event.seq)


def _dense(history: History) -> Iterator[str]:
    numbers = sorted({event.seq for event in history.stored})
    for before, seq in pairwise([0, *numbers]):
        if seq != before + 1:
            yield f"the store: nothing from {before + 1} to {seq - 1}"


def _acknowledged(history: History) -> Iterator[str]:
    stored = {event.seq for event in history.stored}
    for each in history.written or ():
        if each.acknowledged and each.event.seq not in stored:
            yield f"{each.event.seq} of {each.author} was acknowledged and is not stored"


def _unchanged(history: History) -> Iterator[str]:
    """What is stored was written so, and what was acknowledged or read is what is stored."""
    stored = {event.seq: event for event in history.stored}
    if history.written is not None:
        known = {each.event for each in history.written}
        for event in history.stored:
            if event not in known:
                yield f"the store: nobody wrote {event}"
        for each in history.written:
            if each.acknowledged and stored.get(each.event.seq, each.event) != each.event:
                yield f"{each.event} was acknowledged and is {stored[each.event.seq]}"
    for reading in history.readings:
        for event in reading.events:
            if stored.get(event.seq) != event:
                yield f"{reading.reader}: read {event}, stored is {stored.get(event.seq)}"


def _resumable(history: History) -> Iterator[str]:
    """Behind the number it asked for each connection gives what is stored, leaving nothing out;
    one that saw the end has all of it.
    """
    numbers = sorted({event.seq for event in history.stored})
    for reading in history.readings:
        got = {event.seq for event in reading.events}
        until = numbers[-1] if reading.ended and numbers else max(got, default=reading.after)
        missing = [seq for seq in numbers if reading.after < seq <= until and seq not in got]
        if missing:
            yield f"{reading.reader} behind {reading.after}: {missing[0]} is left out"
        early = [seq for seq in got if seq <= reading.after]
        if early:
            yield f"{reading.reader} behind {reading.after}: {early[0]} was not asked for"


def _one_author(history: History) -> Iterator[str]:
    """Of what is stored or was acknowledged."""
    stored = set(history.stored)
    authors: defaultdict[int, set[str]] = defaultdict(set)
    for each in history.written or ():
        if each.acknowledged or each.event in stored:
            authors[each.event.epoch].add(each.author)
    for epoch, names in authors.items():
        if len(names) > 1:
            yield f"epoch {epoch} has {', '.join(sorted(names))}"


def _fenced(history: History) -> Iterator[str]:
    for before, event in pairwise(sorted(history.stored)):
        if event.epoch < before.epoch:
            yield f"{event.seq} of epoch {event.epoch} stands behind epoch {before.epoch}"


def _by_reader(history: History) -> dict[str, list[Reading]]:
    readers: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in history.readings:
        readers[reading.reader].append(reading)
    return readers


RULES: Final[Mapping[str, Callable[[History], Iterator[str]]]] = MappingProxyType(
    {
        "ordered": _ordered,
        "unique": _unique,
        "dense": _dense,
        "acknowledged": _acknowledged,
        "unchanged": _unchanged,
        "resumable": _resumable,
        "one author": _one_author,
        "fenced": _fenced,
    }
)
