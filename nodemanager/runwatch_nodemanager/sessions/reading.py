"""From a session's files to the next events of its run, without numbers; meant for a thread.

What was read is in `positions.Told`: reading goes on from one and gives the next, so that nothing
is taken as told before the server has it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.agents.json_values import list_at, present
from runwatch_nodemanager.agents.protocol import Draft, Json
from runwatch_nodemanager.sessions.cutting import (
    Mark,
    digest_of,
    first_offset,
    lines_from,
    mark_at,
    open_file,
    state_of,
    unended_line,
    whole_file,
)
from runwatch_nodemanager.sessions.formats.entries import (
    Moved,
    objects_of,
    read_entry,
    read_line,
)
from runwatch_nodemanager.sessions.formats.protocol import EntryReader, Tally
from runwatch_nodemanager.sessions.formats.registry import FORMATS
from runwatch_nodemanager.sessions.head import Head
from runwatch_nodemanager.sessions.long_lines import LongLines
from runwatch_nodemanager.sessions.positions import Source, Told, copied

MOST_EVENTS: Final = 400
MOST_CHARS: Final = 256 * 1024
"""Of lines behind one batch: what a batch holds is of that order."""
MOST_LINES: Final = 20_000
CLOSES_WAITS: Final = frozenset({"message", "tool_use_start", "tool_result", "command"})

Finish = Callable[[Json], Json]
"""What is done to every payload: secrets go out of it, tokens without a cost get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The next events, and what is told once the server has them."""

    moved: list[Moved]
    after: Told
    progressed: bool
    """Whether anything was read at all."""


class SessionReading:
    """Reads one session.

    Args:
        first_bytes: How much of a file is read at first sight, from its end; 0 for all.
        root: Below what its files must lie; see `open_file`.
    """

    def __init__(
        self,
        agent_type: str,
        *,
        node_id: str,
        first_bytes: int,
        finish: Finish,
        root: Path | None = None,
    ) -> None:
        self._agent_type = agent_type
        self._format = FORMATS[agent_type]
        self._head = Head()
        self._node_id = node_id
        self._first_bytes = first_bytes
        self._finish = finish
        self._root = root
        self._long_lines = LongLines()

    def fill(
        self,
        told: Told,
        head: Head,
        files: Mapping[str, str],
        *,
        new_run: bool,
        last: bool = False,
    ) -> Filled:
        """At most one batch, all of it from one file: what of it is stored is told by a number.

        Args:
            told: Stays as it is.
            head: What is known of the session.
            files: Lane by path.
            new_run: What comes belongs to a new run.
            last: A line without an end is taken as one if it is whole.
        """
        self._head = head
        after = self.begun(told) if new_run else copied(told)
        progressed = False
        # Sub-agents before their lead, whose totals have them in.
        for path, lane in sorted(files.items(), key=lambda item: (not item[1], item[0])):
            first_sight = path not in after.sources
            if first_sight and not Path(path).exists():
                continue
            if first_sight and _moved_here(after, path, lane, self._root):
                first_sight = False
            source = after.sources.setdefault(path, _new_source(after, lane))
            before = source.mark
            moved = self._read(Path(path), source, after, first_sight=first_sight, last=last)
            if moved is None:
                if first_sight:
                    del after.sources[path]  # it has still to be seen
                continue
            progressed = progressed or source.mark != before or bool(moved)
            if moved:
                moved = self._opened(after, moved)
                after.moment_us = max(after.moment_us, *(at_us for _, at_us in moved))
                finished = [Moved(self._finished(draft), at_us) for draft, at_us in moved]
                return Filled(moved=finished, after=after, progressed=True)
        return Filled(moved=[], after=after, progressed=progressed)

    def _finished(self, draft: Draft) -> Draft:
        try:
            return Draft(draft.type, self._finish(draft.payload))
        except RecursionError:
            message = "an entry of the transcript is nested too deeply and is not shown"
            return Draft("warning", {"code": "entry_too_deep", "message": message})

    def begun(self, told: Told) -> Told:
        """What is told where a new run begins: nothing of it yet."""
        begun = copied(told)
        begun.opened = begun.ended = begun.waiting = False
        for source in begun.sources.values():
            reader = self._reader_of(source)
            reader.begin_run()
            source.reader = reader.save()
        return begun

    def _reader_of(self, source: Source) -> EntryReader:
        """The file's reader where it stood; a new one if what it saved is another version's."""
        try:
            return self._format.open(source.reader)
        except msgspec.ValidationError:
            return self._format.open(None)

    def _read(
        self, path: Path, source: Source, told: Told, *, first_sight: bool, last: bool
    ) -> list[Moved] | None:
        """What comes next in a file; ``None`` where it cannot be read."""
        try:
            descriptor = open_file(path, root=self._root)
        except OSError:
            return None
        try:
            reader = self._reader_of(source)
            moved: list[Moved] = []
            if path.suffix == ".json":
                moved += self._document(descriptor, source, reader)
            else:
                if first_sight:
                    self._begin(descriptor, source, reader, told, told.inherited.get(str(path), 0))
                elif state_of(descriptor, source.mark) == "rewritten":
                    source.skip_us = reader.state.moment_us
                    source.mark = Mark()
                    moved.append(Moved(_rewritten(), reader.state.moment_us or told.moment_us))
                if last or self._long_lines.may_have_end(path, descriptor, source.mark.offset):
                    moved += self._lines(descriptor, source, reader)
                if last and not moved:
                    moved += self._rest(descriptor, source, reader)
            error = reader.state.error
            if error is not None:  # it is kept on this node's disk
                reader.state.error = str(self._finish({"error": error})["error"])
            source.reader = reader.save()
        finally:
            os.close(descriptor)
        if source.lane:
            lane = {"lane": source.lane}
            return [Moved(Draft(d.type, {**lane, **d.payload}), at_us) for d, at_us in moved]
        told.turn, told.error = reader.state.turn, reader.state.error
        if any(draft.type in CLOSES_WAITS for draft, _ in moved):
            told.waiting = False
        return moved

    def _begin(
        self, descriptor: int, source: Source, reader: EntryReader, told: Told, inherited: int
    ) -> None:
        """Where reading begins: near the end, and behind what another session tells."""
        for line in lines_from(descriptor, 0) if inherited else ():
            if line.end > inherited:
                break
            self._line((line.content or b"").decode("utf-8", "replace"), source, reader)
        if inherited:
            tally = reader.state.tally
            reader.state.tally = Tally(entries=tally.entries, quiet=tally.entries)
            reader.begin_run()
        first = first_offset(descriptor, self._first_bytes)
        source.mark = mark_at(descriptor, max(first, inherited))
        told.skipped_bytes += max(0, first - inherited)

    def _lines(self, descriptor: int, source: Source, reader: EntryReader) -> list[Moved]:
        moved: list[Moved] = []
        offset, chars = source.mark.offset, 0
        for count, line in enumerate(lines_from(descriptor, offset), start=1):
            if line.content is None:
                moved.append(Moved(_too_long(), reader.state.moment_us or self._head.started_us))
            else:
                text = line.content.decode("utf-8", "replace")
                told = self._line(text, source, reader)
                chars += len(text) if told else 0
                moved += told
            offset = line.end
            if len(moved) >= MOST_EVENTS or chars >= MOST_CHARS or count >= MOST_LINES:
                break
        source.mark = mark_at(descriptor, offset)
        return moved

    def _rest(self, descriptor: int, source: Source, reader: EntryReader) -> list[Moved]:
        """A last line that nobody will end, if it is a whole entry."""
        content = unended_line(descriptor, source.mark.offset)
        try:
            msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError):
            return []
        source.mark = mark_at(descriptor, source.mark.offset + len(content))
        return self._line(content.decode("utf-8", "replace"), source, reader)

    def _line(self, text: str, source: Source, reader: EntryReader) -> list[Moved]:
        if not text.strip():
            return []
        return read_line(
            reader,
            text,
            short=self._format.short,
            skip_us=source.skip_us,
            fallback_us=self._head.started_us,
        )

    def _document(self, descriptor: int, source: Source, reader: EntryReader) -> list[Moved]:
        """A document that is written anew as a whole: what is new in it, message by message."""
        content = whole_file(descriptor)
        if content is None or (digest := digest_of(content)) == source.mark.anchor:
            return []
        source.mark = Mark(offset=len(content), anchor=digest)
        return [
            moved
            for value in _entries_of(content)
            for moved in read_entry(
                reader,
                value,
                "",
                short=self._format.short,
                fallback_us=self._head.started_us,
            )
        ]

    def _opened(self, told: Told, moved: list[Moved]) -> list[Moved]:
        """The events with those a run begins with, if it has not begun."""
        if told.opened:
            return moved
        first_run = told.next_seq == 1 and not told.moment_us
        told.opened = True
        head, first_us = self._head, moved[0].moment_us
        began_us = min(head.started_us or first_us, first_us) if first_run else first_us
        agent = present(
            type=self._agent_type, version=head.version or None, model=head.model or None
        )
        payload: Json = {"node_id": self._node_id, "runtime": "session", "agent": agent}
        if head.cwd:
            payload["workspace"] = {"type": "local", "path": head.cwd}
        info = present(
            agent=self._agent_type,
            version=head.version or None,
            model=head.model or None,
            cwd=head.cwd or None,
            session_id=head.session_id or None,
        )
        opening = [Draft("run_started", payload), Draft("system_info", info)]
        if first_run and told.skipped_bytes:
            opening.append(_skipped(told.skipped_bytes))
        return [*(Moved(draft, began_us) for draft in opening), *moved]


def _moved_here(told: Told, path: str, lane: str, root: Path | None) -> bool:
    """Whether a new path is that of a file that was read before, moved or copied with its project;
    then reading goes on in it where it stood.
    """
    for former, source in told.sources.items():
        if source.lane != lane or not source.mark.offset:
            continue
        try:
            descriptor = open_file(Path(path), root=root)
        except OSError:
            return False
        try:
            same = state_of(descriptor, source.mark) == "same"
        finally:
            os.close(descriptor)
        if same and not Path(former).exists():
            told.sources[path] = told.sources.pop(former)
            return True
        if same:
            reader = {**(source.reader or {}), "tally": {}}  # the other file's entries are its own
            told.sources[path] = msgspec.structs.replace(source, reader=reader)
            return True
    return False


def _new_source(told: Told, lane: str) -> Source:
    """A session that goes on in another file knows what it told from the first."""
    leads = [source for source in told.sources.values() if not source.lane and not lane]
    return Source(lane=lane, reader=leads[-1].reader if leads else None)


def _entries_of(content: bytes) -> Iterator[Any]:
    """The document's own facts and its messages; nothing while it is only half written."""
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        value = next(iter(objects_of(content.decode("utf-8", "replace"))), None)
    if isinstance(value, dict):
        yield {name: fact for name, fact in value.items() if name != "messages"}
        yield from list_at(value, "messages")


def _rewritten() -> Draft:
    message = "the transcript was written anew; what is not newer than what was told is left out"
    return Draft("warning", {"code": "transcript_rewritten", "message": message})


def _too_long() -> Draft:
    message = "a line of the transcript was too long and is not shown"
    return Draft("warning", {"code": "line_too_long", "message": message})


def _skipped(count: int) -> Draft:
    message = f"the transcript's first {count} bytes, written before it was found, are not shown"
    return Draft("message", {"role": "system", "content": message})
