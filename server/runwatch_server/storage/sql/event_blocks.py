"""Which types and levels are in each 256 numbers of a run, so that a page of few events among a
million is found without looking at all of them.

A row is written when its block begins or gains a type or a level: a few for 256 events. An index by
type would be written for every event. What was stored before blocks were kept has none.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from runwatch_server.rows import EventRow
from runwatch_server.storage.sql.connection import Connection, WritingConnection
from runwatch_server.storage.sql.documents import Recent
from runwatch_shared.states import EVENT_TYPES

BLOCK: Final = 256

_TYPE_BITS: Final = {kind: 1 << bit for bit, kind in enumerate(EVENT_TYPES)}
"""Stored: a new type goes to the end of `EVENT_TYPES`."""
_OWN_TYPE_BIT: Final = 1 << 62
_LEVEL_BITS: Final = {"info": 1, "success": 2, "warning": 4, "error": 8}
_ALL: Final = (1 << 63) - 1

Marks = tuple[int, int, int]
"""(block, types, levels) last written of a run."""


def first_seq(block: int) -> int:
    return block * BLOCK


def bits_of_type(kind: str) -> int:
    return _TYPE_BITS.get(kind, _OWN_TYPE_BIT)


def bits_of_level(level: str) -> int:
    return _LEVEL_BITS[level]


def types_of(kinds: Sequence[str] | None) -> int:
    """The bits of some types; all without."""
    return _ALL if kinds is None else _union(_TYPE_BITS, kinds, _OWN_TYPE_BIT)


def levels_of(levels: Sequence[str] | None) -> int:
    """The bits of some levels; all without."""
    return _ALL if levels is None else _union(_LEVEL_BITS, levels, 0)


def first_block(connection: Connection, run: int) -> int | None:
    """From where on blocks are known; None: nowhere."""
    found: int | None = connection.value(connection.statements("event_blocks")["first"], (run,))
    return found


def matching(
    connection: Connection, run: int, begin: int, types: int, levels: int, *, downward: bool
) -> Iterator[int]:
    """The blocks from ``begin`` on that hold one of the types and one of the levels."""
    statement = connection.statements("event_blocks")["downward" if downward else "upward"]
    for (block,) in connection.all(statement, (run, begin, types, levels)):
        yield block


def mark(
    connection: WritingConnection,
    known: Recent[Marks],
    run_id: str,
    run: int,
    events: Sequence[EventRow],
) -> None:
    """Note what is in the blocks of events that are being appended.

    Args:
        known: What was last written, by run id.
        run: The run's small key.
        events: Rising, above all that is stored.
    """
    at, written = known.get(run_id) or (-1, 0, 0), None
    block, types, levels = at
    for event in events:
        if event.seq // BLOCK != block:
            if written is not None:
                _put(connection, run, written)
                written = None
            # Behind the block that is remembered nothing is stored.
            fresh, block = block >= 0, event.seq // BLOCK
            types, levels = (0, 0) if fresh else _stored(connection, run, block, event.seq)
        more_types = types | _TYPE_BITS.get(event.type, _OWN_TYPE_BIT)
        more_levels = levels | _LEVEL_BITS[event.level]
        if more_types != types or more_levels != levels:
            types, levels = more_types, more_levels
            written = (block, types, levels)
    if written is not None:
        _put(connection, run, written)
    if (block, types, levels) != at:
        known.put(run_id, (block, types, levels))


def remove_before(connection: Connection, run: int, seq: int) -> None:
    """Forget the blocks that lie wholly before a number."""
    connection.run(connection.statements("event_blocks")["remove_before"], (run, seq // BLOCK))


def _put(connection: WritingConnection, run: int, marks: Marks) -> None:
    if not connection.later("event_blocks", (run, marks[0]), (run, *marks)):
        connection.run(connection.statements("event_blocks")["put"], (run, *marks))


def _stored(connection: Connection, run: int, block: int, until_seq: int) -> tuple[int, int]:
    found = connection.one(connection.statements("event_blocks")["get"], (run, block))
    if found is not None:
        return found[0], found[1]
    types = levels = 0
    if until_seq > first_seq(block):
        given = (run, first_seq(block), until_seq - 1)
        for kind, level in connection.all(connection.statements("event_blocks")["stored"], given):
            types |= _TYPE_BITS.get(kind, _OWN_TYPE_BIT)
            levels |= _LEVEL_BITS[level]
    return types, levels


def _union(bits: dict[str, int], names: Sequence[str], otherwise: int) -> int:
    union = 0
    for name in names:
        union |= bits.get(name, otherwise)
    return union
