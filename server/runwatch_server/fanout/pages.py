"""A run's stored events read page by page for its sockets; what is live is in `streams`.

`read_page` runs in a reader's thread: it gets a `ReadTx` and gives back frames that are ready.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from runwatch_server.fanout.frames import PART_BYTES, PART_ROWS, encode, frame_of, text_frame
from runwatch_server.rows import EventRow, RunRow
from runwatch_server.storage.protocols import ReadTx
from runwatch_shared.models import RunId
from runwatch_shared.states import is_terminal
from runwatch_shared.timestamps import (
    MICROSECONDS_PER_SECOND,
    format_optional_time,
    format_time,
)
from runwatch_shared.wire import Gap, GapFrame, RunEnd

_BEFORE: Final = b'{"type":"event","data":'
_BEFORE_MANY: Final = b'{"type":"events","data":['


class Encoded(NamedTuple):
    """One event as JSON."""

    seq: int
    json: bytes
    at_us: int


class Burst(NamedTuple):
    """Frames that are sent together, and the numbers of their first and last event."""

    first_seq: int
    last_seq: int
    frames: bytes
    events: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """``last_seq``: what a client has that got all of it."""

    bursts: list[Burst]
    last_seq: int
    reached_end: bool
    end: RunEnd | None

    @property
    def size(self) -> int:
        """Bytes of all its frames."""
        return sum(len(burst.frames) for burst in self.bursts)


def read_page(tx: ReadTx, run_id: str, after_seq: int, *, raw: bool, batch: bool) -> Page | None:
    """The next events after a number; None when there is no such run any more."""
    row = tx.runs.get(run_id)
    if row is None:
        return None
    bursts = []
    if after_seq + 1 < row.first_seq:
        expired = Gap(from_seq=after_seq + 1, to_seq=row.first_seq - 1, reason="expired")
        bursts.append(Burst(after_seq + 1, row.first_seq - 1, frame_of(GapFrame(data=expired)), 1))
        after_seq = row.first_seq - 1
    events = tx.events.after(run_id, after_seq, limit=PART_ROWS, max_bytes=PART_BYTES, raw=raw)
    if events:
        # Followers who began at different places come to read the same pages.
        edge = -(-events[0].seq // PART_ROWS) * PART_ROWS
        events = [event for event in events if event.seq <= edge]
    last_seq = events[-1].seq if events else max(after_seq, row.last_seq)
    return Page(
        bursts=bursts + bursts_of(encode_events(run_id, events, raw=raw), batch=batch),
        last_seq=last_seq,
        reached_end=last_seq >= row.last_seq,
        end=end_of(row),
    )


def end_of(row: RunRow) -> RunEnd | None:
    """What the closing status frame says; None while the run is not over."""
    if not is_terminal(row.status):
        return None
    return RunEnd(
        run_id=RunId(row.id),
        status=row.status,
        finished_at=format_optional_time(row.finished_us),
        exit_code=row.exit_code,
        last_seq=row.last_seq,
    )


def encode_events(run_id: str, events: Iterable[EventRow], *, raw: bool) -> list[Encoded]:
    """Each event once as JSON, as `records.event_record` has it.

    The record itself would cost four times as much, and a long run is read a million times that:
    everything but payload and raw line is of known characters, and payloads are JSON already.
    """
    moments = _Moments()
    owner = encode(run_id).decode()
    encoded = []
    for row in events:
        seq, epoch, kind, at_us, received_us, level, payload, line = row
        head = (
            f'{{"id":{seq},"run_id":{owner},"seq":{seq},"epoch":{epoch},"type":"{kind}",'
            f'"timestamp":"{moments.text(at_us)}","received_at":"{moments.text(received_us)}",'
            f'"level":"{level}"'
        ).encode()
        if payload is not None:
            head += b',"payload":' + payload
        if raw and line is not None:
            head += b',"raw":' + encode(line)
        encoded.append(Encoded(seq, head + b"}", received_us))
    return encoded


class _Moments:
    """Moments as text; those of one second share its beginning."""

    def __init__(self) -> None:
        self._second = -1
        self._beginning = ""

    def text(self, moment_us: int) -> str:
        second, rest_us = divmod(moment_us, MICROSECONDS_PER_SECOND)
        if second != self._second:
            self._second = second
            text = format_time(second * MICROSECONDS_PER_SECOND)
            self._beginning = text.partition(".")[0]
        return f"{self._beginning}.{rest_us:06d}Z"


def bursts_of(events: Sequence[Encoded], *, batch: bool) -> list[Burst]:
    """Events as frames: one each, or one for many; a burst is of bounded size."""
    bursts = []
    chunk: list[Encoded] = []
    size = 0
    for event in events:
        size += len(event.json)
        if chunk and (len(chunk) >= PART_ROWS or size > PART_BYTES):
            bursts.append(_burst(chunk, batch=batch))
            chunk = []
            size = len(event.json)
        chunk.append(event)
    if chunk:
        bursts.append(_burst(chunk, batch=batch))
    return bursts


def _burst(events: Sequence[Encoded], *, batch: bool) -> Burst:
    if batch:
        payload = _BEFORE_MANY + b",".join(event.json for event in events) + b"]}"
        return Burst(events[0].seq, events[-1].seq, text_frame(payload), 1)
    frames = b"".join(text_frame(_BEFORE + event.json + b"}") for event in events)
    return Burst(events[0].seq, events[-1].seq, frames, len(events))
