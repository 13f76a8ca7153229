"""Making rows of the records of an archive, in an empty store, all or nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from runwatch_server.storage.keeping.archive import Header, Record
from runwatch_server.storage.keeping.protocols import Filling
from runwatch_server.storage.keeping.records import OF_ACCESS
from runwatch_shared.errors import StoreError


def load(
    filling: Filling,
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
    try:
        filling.begin(access=header.access and access)
        wanted = records if access else (each for each in records if each[0] not in OF_ACCESS)
        counts = _take(filling, wanted)
        filling.finish(header, now_us)
    except BaseException:
        filling.undo()
        raise
    return counts


def _take(filling: Filling, records: Iterable[Record]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for kind, *values in records:
        take = filling.takes.get(kind)
        if take is None:
            raise StoreError(f"there is a record of a kind this build does not know: {kind!r}")
        counts[kind] += 1
        with _fitting(f"a record of kind {kind!r}"):
            take(*values)
    with _fitting("a record among the last"):
        filling.settle()
    return dict(counts)


@contextmanager
def _fitting(what: str) -> Iterator[None]:
    """What cannot be taken is the archive's fault."""
    try:
        yield
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise StoreError(f"{what} does not fit") from error
