"""The lines of a recording and their bytes: JSON, one record a line; files are `writer`'s and
`reader`'s.

A recording is a header, then what the feed brought, each with `at_s`, the seconds since the header.
A `checkpoint` says what was true at its place, so that a reader may begin there. The last line of a
recording that ended well is its `index`. Times of day are those of the server.
"""

from typing import Any, Final, assert_never

import msgspec

from runwatch_console.ports import (
    Connected,
    Connecting,
    Disconnected,
    EventBatch,
    FeedItem,
    Frame,
    Gap,
    LossReason,
    Reconnected,
    RunGone,
    RunItem,
    RunStatus,
)
from runwatch_shared.errors import RunwatchError
from runwatch_shared.models import Event, Time
from runwatch_shared.wire import (
    ChangeFrame,
    ErrorFrame,
    HeartbeatFrame,
    HelloFrame,
    PongFrame,
    ResyncFrame,
    SnapshotFrame,
)

FORMAT: Final = 1
GZIP_MAGIC: Final = b"\x1f\x8b"


class RecordingError(RunwatchError):
    """The file is no recording this console can read. `word`: id of the locale."""

    def __init__(self, word: str, **facts: object) -> None:
        super().__init__(f"{word} {facts}")
        self.word = word
        self.facts = facts


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Base of the lines."""

    at_s: float


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """The first line. `started_at` is the server's clock at `at_s` 0."""

    format: int
    console: str
    server_version: str
    store: str
    context: str
    started_at: Time


class ConnectingLine(_Line, frozen=True, kw_only=True, tag="connecting"):
    attempt: int


class ConnectedLine(_Line, frozen=True, kw_only=True, tag="connected"):
    hello: HelloFrame


class FrameLine(_Line, frozen=True, kw_only=True, tag="frame"):
    frame: SnapshotFrame | ChangeFrame | HeartbeatFrame | ResyncFrame | PongFrame | ErrorFrame


class Lost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ports.Disconnected`."""

    reason: LossReason
    detail: str = ""
    retry_in_s: float | None = None
    fingerprint: str | None = None
    server_protocol: tuple[int, int] | None = None


class LostLine(_Line, frozen=True, kw_only=True, tag="lost"):
    loss: Lost


class _RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of what a followed run brings: the items of `ports.RunItem`."""


class EventsRecord(_RunRecord, frozen=True, kw_only=True, tag="events"):
    events: list[Event]


class GapRecord(_RunRecord, frozen=True, kw_only=True, tag="gap"):
    from_seq: int
    to_seq: int
    reason: str


class EndRecord(_RunRecord, frozen=True, kw_only=True, tag="status"):
    status: str
    last_seq: int
    exit_code: int | None = None


class OpenRecord(_RunRecord, frozen=True, kw_only=True, tag="open"):
    from_seq: int


class LostRecord(_RunRecord, frozen=True, kw_only=True, tag="lost"):
    loss: Lost


class GoneRecord(_RunRecord, frozen=True, kw_only=True, tag="gone"):
    detail: str = ""


RunRecord = EventsRecord | GapRecord | EndRecord | OpenRecord | LostRecord | GoneRecord


class RunLine(_Line, frozen=True, kw_only=True, tag="run"):
    run_id: str
    record: RunRecord


class CheckpointLine(_Line, frozen=True, kw_only=True, tag="checkpoint"):
    """All that was true here, for those who begin here; who read it from before pass it by."""

    hello: HelloFrame | None = None
    loss: Lost | None = None
    fleet: SnapshotFrame | None = None


class RunPlacesRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one run with events, as arrays of 8-byte numbers, little end first, in base64."""

    at_s: bytes
    offset: bytes
    first_seq: bytes
    last_seq: bytes


class IndexLine(_Line, frozen=True, kw_only=True, tag="index"):
    """The last line. `at_s` is the length; offsets are those of the text, before compression."""

    checkpoints: list[tuple[float, int]]
    marks: list[tuple[float, str]]
    runs: dict[str, RunPlacesRecord]


FeedLine = ConnectingLine | ConnectedLine | FrameLine | LostLine
Line = Header | FeedLine | RunLine | CheckpointLine | IndexLine

_LINES: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
CHECKPOINT_HEAD: Final = b'{"kind":"checkpoint"'
INDEX_HEAD: Final = b'{"kind":"index"'


def encode_line(line: Line) -> bytes:
    """The bytes of a line, without its end."""
    return msgspec.json.encode(line)


def decode_line(text: bytes) -> Line:
    """The line these bytes say.

    Raises:
        msgspec.DecodeError: They say none.
        UnicodeDecodeError: They are no text.
    """
    return _LINES.decode(text)


def plain_events(line: RunLine) -> RunLine:
    """The same with payloads spelled our way: what is masked by its look must not hide behind
    escapes of JSON.
    """
    if not isinstance(line.record, EventsRecord):
        return line
    events = [
        msgspec.structs.replace(event, payload=_plain(event.payload), raw=None)
        for event in line.record.events
    ]
    return msgspec.structs.replace(line, record=EventsRecord(events=events))


def _plain(payload: msgspec.Raw) -> msgspec.Raw:
    if not len(memoryview(payload)):
        return payload
    decoded: Any = msgspec.json.decode(payload)
    return msgspec.Raw(msgspec.json.encode(decoded))


def feed_line(item: FeedItem, at_s: float) -> FeedLine:
    """The line of an item of the feed."""
    match item:
        case Connecting():
            return ConnectingLine(at_s=at_s, attempt=item.attempt)
        case Connected():
            return ConnectedLine(at_s=at_s, hello=item.hello)
        case Frame():
            return FrameLine(at_s=at_s, frame=item.frame)
        case Disconnected():
            return LostLine(at_s=at_s, loss=lost(item))
        case _:
            assert_never(item)


def feed_item(line: FeedLine) -> FeedItem:
    """The item of the feed that a line says."""
    match line:
        case ConnectingLine():
            return Connecting(attempt=line.attempt)
        case ConnectedLine():
            return Connected(hello=line.hello)
        case FrameLine():
            return Frame(frame=line.frame)
        case LostLine():
            return disconnected(line.loss)
        case _:
            assert_never(line)


def run_record(item: RunItem) -> RunRecord:
    """The record of an item of a run."""
    match item:
        case EventBatch():
            return EventsRecord(events=list(item.events))
        case Gap():
            return GapRecord(from_seq=item.from_seq, to_seq=item.to_seq, reason=item.reason)
        case RunStatus():
            return EndRecord(status=item.status, last_seq=item.last_seq, exit_code=item.exit_code)
        case Reconnected():
            return OpenRecord(from_seq=item.from_seq)
        case Disconnected():
            return LostRecord(loss=lost(item))
        case RunGone():
            return GoneRecord(detail=item.detail)
        case _:
            assert_never(item)


def run_item(record: RunRecord) -> RunItem:
    """The item of a run that a record says."""
    match record:
        case EventsRecord():
            return EventBatch(events=tuple(record.events))
        case GapRecord():
            return Gap(from_seq=record.from_seq, to_seq=record.to_seq, reason=record.reason)
        case EndRecord():
            return RunStatus(
                status=record.status, last_seq=record.last_seq, exit_code=record.exit_code
            )
        case OpenRecord():
            return Reconnected(from_seq=record.from_seq)
        case LostRecord():
            return disconnected(record.loss)
        case GoneRecord():
            return RunGone(detail=record.detail)
        case _:
            assert_never(record)


def lost(item: Disconnected) -> Lost:
    """The record of a loss."""
    return Lost(
        reason=item.reason,
        detail=item.detail,
        retry_in_s=item.retry_in_s,
        fingerprint=item.fingerprint,
        server_protocol=item.server_protocol,
    )


def disconnected(loss: Lost) -> Disconnected:
    """The loss of a record."""
    return Disconnected(
        reason=loss.reason,
        detail=loss.detail,
        retry_in_s=loss.retry_in_s,
        fingerprint=loss.fingerprint,
        server_protocol=loss.server_protocol,
    )
