"""Turns a run's log into numbered events, the same ones with the same numbers at every reading.

Synchronous and without network: meant to be called in a thread. After a restart it goes on from the
checkpoint and leaves out what the server said it has.
"""

import threading
from collections import deque
from typing import Final

import msgspec

from runwatch_nodemanager import run_folder as kinds
from runwatch_nodemanager.agents.protocol import Agent, Draft
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.changes.report import Changes
from runwatch_nodemanager.events import SizedEvent, number_draft
from runwatch_nodemanager.redaction.redactor import Rules
from runwatch_nodemanager.run_folder import RunFolder, write_atomically
from runwatch_nodemanager.spool import Position, Record, remove_before
from runwatch_nodemanager.spool_reader import SpoolReader, next_index
from runwatch_nodemanager.transcript import Transcript, TranscriptState
from runwatch_shared.wire import EventInput

ENDS: Final = frozenset({kinds.EXITED, kinds.GONE})
"""Records of runs that had begun and now are over."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where to read on, and what the next events depend on; all before is acknowledged."""

    segment: int
    offset: int
    index: int
    next_seq: int
    transcript: TranscriptState


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events to be sent in one request; ``after`` is set where reading may begin again after it."""

    events: list[EventInput]
    after: Checkpoint | None
    ended: bool
    """The last event is the run's terminal one."""
    truncated: int
    ending: bool = False
    """Nothing more can be read before ``tell_changes``."""


class RunReader:
    """Reads one run of this node.

    Args:
        known_seq: The newest number the server has; events up to it are left out.
        rules: What no event may tell (`Transcript`).
    """

    def __init__(
        self,
        folder: RunFolder,
        assignment: Assignment,
        agent: Agent,
        *,
        runtime_name: str,
        event_limit_bytes: int,
        known_seq: int,
        rules: Rules | None = None,
    ) -> None:
        self._folder = folder
        self._event_limit_bytes = event_limit_bytes
        self._known_seq = known_seq
        self._lock = threading.Lock()
        self._queue: deque[SizedEvent] = deque()
        start = load_checkpoint(folder)
        self._reader = SpoolReader(folder.log, _position(start))
        self._last_record: Record | None = None
        """How the agent ended; its events are made when it is known what it changed."""
        self._changes: Changes | None = None
        self._next_seq = start.next_seq if start else assignment.first_seq
        self._transcript = Transcript(
            assignment,
            agent,
            runtime_name=runtime_name,
            saved=start.transcript if start else None,
            rules=rules,
        )

    @property
    def last_seq(self) -> int:
        """The newest number given."""
        return self._next_seq - 1

    @property
    def ended(self) -> bool:
        """Whether the log's last record was read."""
        return self._transcript.terminal is not None

    @property
    def terminal(self) -> Draft | None:
        """The terminal event, once it was made."""
        return self._transcript.terminal

    @property
    def ended_by(self) -> str | None:
        """Who ended the run, an `End.reason`."""
        return self._transcript.ended_by

    def fill(self, *, max_events: int, max_bytes: int, writer_gone: bool, give_up: bool) -> Batch:
        """As many events as are there, at most so many; see `SpoolReader.read` for the last two.

        Raises:
            OSError: The log cannot be read.
        """
        with self._lock:
            taken: list[SizedEvent] = []
            size = 0
            while len(taken) < max_events:
                if not self._queue:
                    if self.ended or not self._read_on(writer_gone, give_up):
                        break
                    continue
                if taken and size + self._queue[0].size > max_bytes:
                    break
                size += self._queue[0].size
                taken.append(self._queue.popleft())
            return Batch(
                events=[sized.event for sized in taken],
                after=None if self._between else self._checkpoint(),
                ended=self.ended and not self._queue,
                truncated=sum(1 for sized in taken if sized.truncated),
                ending=self._last_record is not None and self._changes is None,
            )

    def tell_changes(self, changes: Changes) -> None:
        """What the run changed; told before its terminal event."""
        with self._lock:
            self._changes = changes

    @property
    def _between(self) -> bool:
        """Whether what was read has events that no batch has taken yet."""
        return bool(self._queue) or self._last_record is not None or not self._transcript.aligned

    def sync(self) -> None:
        """Make what the batches came from safe on disk; to be called before they are sent."""
        with self._lock:
            self._reader.sync()

    def acknowledge(self, checkpoint: Checkpoint) -> None:
        """Keep the checkpoint, and remove what lies wholly before it."""
        with self._lock:
            write_atomically(self._folder.checkpoint, msgspec.json.encode(checkpoint))
            position = _position(checkpoint)
            if position is not None:
                remove_before(self._folder.log, position)

    def renumber(self, events: list[EventInput], *, after_seq: int) -> list[EventInput]:
        """The events with numbers above ``after_seq``; later ones go on from there."""
        with self._lock:
            first = max(after_seq + 1, events[0].seq)
            shift = first - events[0].seq
            self._next_seq += shift
            self._queue = deque(
                msgspec.structs.replace(sized, event=_shifted(sized.event, shift))
                for sized in self._queue
            )
            return [_shifted(event, shift) for event in events]

    def waiting_records(self) -> int:
        """Records and events read or written that no batch has taken yet. Reads a segment."""
        with self._lock:
            unread = max(0, next_index(self._folder.log) - self._reader.position.index)
            return unread + len(self._queue)

    def close(self) -> None:
        with self._lock:
            self._reader.close()

    def _checkpoint(self) -> Checkpoint:
        position = self._reader.position
        return Checkpoint(
            segment=position.segment,
            offset=position.offset,
            index=position.index,
            next_seq=self._next_seq,
            transcript=self._transcript.save(),
        )

    def _read_on(self, writer_gone: bool, give_up: bool) -> bool:
        """Queue the events of one more record; False at the end of what is there."""
        found = self._last_record or self._reader.read(writer_gone=writer_gone, give_up=give_up)
        if found is None:
            return False
        if isinstance(found, Record) and found.kind in ENDS:
            if self._changes is None:
                self._last_record = found
                return False
            self._transcript.changes = self._changes
            self._last_record = None
        drafts = self._transcript.read(found)
        if self.ended:
            # Whatever the server has by now, it has no terminal event: this one must get through.
            self._next_seq = max(self._next_seq, self._known_seq + 2 - len(drafts))
        for draft in drafts:
            seq = self._next_seq
            self._next_seq += 1
            if seq > self._known_seq:
                self._queue.append(
                    number_draft(
                        draft,
                        seq=seq,
                        moment_us=self._transcript.moment_us,
                        limit_bytes=self._event_limit_bytes,
                    )
                )
        return True


def load_checkpoint(folder: RunFolder) -> Checkpoint | None:
    try:
        return msgspec.json.decode(folder.checkpoint.read_bytes(), type=Checkpoint)
    except (OSError, msgspec.MsgspecError):
        return None


def _position(checkpoint: Checkpoint | None) -> Position | None:
    if checkpoint is None:
        return None
    return Position(segment=checkpoint.segment, offset=checkpoint.offset, index=checkpoint.index)


def _shifted(event: EventInput, shift: int) -> EventInput:
    return msgspec.structs.replace(event, seq=event.seq + shift)
