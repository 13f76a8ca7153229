"""Pages of a run's events, as the monitor's events request answers (contract 6.1)."""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from runwatch_console.ports import EventQuery
from runwatch_shared.models import Event, EventView
from runwatch_shared.wire import EventViewPage, Gap


class EventLog(Protocol):
    """The events of a run that are there."""

    @property
    def first_seq(self) -> int:
        """Of the first event; 0 for none."""
        ...

    @property
    def last_seq(self) -> int:
        """Of the last event; 0 for none."""
        ...

    def rising(self, after_seq: int) -> Iterator[Event]:
        """Events after a number, the earliest first."""
        ...

    def falling(self, before_seq: int | None) -> Iterator[Event]:
        """Events before a number, or all, the latest first."""
        ...


def event_page(
    log: EventLog, query: EventQuery, *, total: int, producer: str, server_time: str
) -> EventViewPage:
    """The page a query asks for. `gap` says what is gone before it."""
    found: list[Event]
    if query.tail or query.before_seq is not None:
        falling = log.falling(None if query.tail else query.before_seq)
        found = list(islice((e for e in falling if _fits(e, query)), query.limit))
        found.reverse()
        after_seq = 0
    else:
        after_seq = query.after_seq or 0
        rising = log.rising(after_seq)
        found = list(islice((e for e in rising if _fits(e, query)), query.limit))
    first, last = log.first_seq, log.last_seq
    begins_before = not query.tail and query.before_seq is None and after_seq + 1 < first
    return EventViewPage(
        events=[event_view(event, producer) for event in found],
        total=max(total, last),
        first_seq=first,
        last_seq=last,
        has_before=bool(found) and found[0].seq > first,
        has_after=bool(found) and found[-1].seq < last,
        gap=Gap(from_seq=after_seq + 1, to_seq=first - 1, reason="expired")
        if begins_before and first
        else None,
        server_time=server_time,
    )


def event_view(event: Event, producer: str) -> EventView:
    """The event as the monitor shows it (contract 5.4)."""
    return EventView(
        id=f"{event.run_id}:{event.seq}",
        run_id=event.run_id,
        seq=event.seq,
        epoch=event.epoch,
        type=event.type,
        timestamp=event.timestamp,
        received_at=event.received_at,
        level=event.level,
        payload=event.payload,
        data=event.payload,
        producer_id=producer,
    )


def _fits(event: Event, query: EventQuery) -> bool:
    if query.types and event.type not in query.types:
        return False
    if query.levels and event.level not in query.levels:
        return False
    if not query.q:
        return True
    return query.q.casefold() in bytes(event.payload).decode("utf-8", "replace").casefold()
