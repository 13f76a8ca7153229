"""Puts the pieces of long lines together again, or leaves them apart where an agent wants that."""

from typing import Final

import msgspec

from runwatch_nodemanager.agents.protocol import Draft, Line, Stream

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
HEAD_BYTES: Final = 64 * 1024


class StreamState(msgspec.Struct):
    """Of one stream, what must be known to go on at a place where ``aligned`` holds."""

    in_line: bool = False
    over_bytes: int = 0
    """Length so far of a line that is too long; 0 while it is not."""
    head: str = ""


class LineJoiner:
    """Feeds on records of one run, in order.

    Args:
        whole_lines: A line comes in one piece; one over ``max_bytes`` becomes a draft that says so.
        saved: What another joiner saved.
    """

    def __init__(
        self,
        *,
        whole_lines: bool,
        saved: dict[str, StreamState] | None = None,
        max_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self._whole_lines = whole_lines
        self._max_bytes = max_bytes
        self._streams: dict[str, StreamState] = saved or {}
        self._held: dict[str, list[bytes]] = {}
        self._held_bytes: dict[str, int] = {}

    @property
    def aligned(self) -> bool:
        """Whether nothing is held that ``save`` does not tell."""
        return not self._held

    def save(self) -> dict[str, StreamState]:
        return {
            name: msgspec.structs.replace(state)
            for name, state in self._streams.items()
            if state != StreamState()
        }

    def feed(
        self, stream: Stream, data: bytes, *, ended: bool, moment_us: int
    ) -> Line | Draft | None:
        """The line or piece that is ready now; a draft for a line that was too long."""
        state = self._streams.setdefault(stream, StreamState())
        if not self._whole_lines:
            continued, state.in_line = state.in_line, not ended
            if ended and continued and not data:
                return None
            return _line(stream, data, moment_us, piece=not ended)
        if state.over_bytes:
            return self._skip(stream, state, data, ended=ended)
        if ended and stream not in self._held:
            return _line(stream, data, moment_us)
        pieces = self._held.setdefault(stream, [])
        pieces.append(data)
        size = self._held_bytes.get(stream, 0) + len(data)
        self._held_bytes[stream] = size
        if size > self._max_bytes:
            state.over_bytes = size
            state.head = b"".join(self._release(stream))[:HEAD_BYTES].decode("utf-8", "replace")
            return self._finish_over(stream, state) if ended else None
        return _line(stream, b"".join(self._release(stream)), moment_us) if ended else None

    def give_up(self, stream: Stream, moment_us: int) -> Line | Draft | None:
        """What is held of a line whose rest will not come."""
        state = self._streams.get(stream)
        if state is not None and state.over_bytes:
            return self._finish_over(stream, state)
        if state is not None:
            state.in_line = False
        if stream in self._held:
            return _line(stream, b"".join(self._release(stream)), moment_us, piece=True)
        return None

    def _release(self, stream: Stream) -> list[bytes]:
        self._held_bytes.pop(stream, None)
        return self._held.pop(stream, [])

    def _skip(
        self, stream: Stream, state: StreamState, data: bytes, *, ended: bool
    ) -> Draft | None:
        state.over_bytes += len(data)
        return self._finish_over(stream, state) if ended else None

    def _finish_over(self, stream: Stream, state: StreamState) -> Draft:
        payload = {
            "role": "system",
            "content": state.head,
            "stream": stream,
            "truncated": True,
            "original_bytes": state.over_bytes,
        }
        self._streams[stream] = StreamState()
        return Draft("message", payload)


def _line(stream: Stream, data: bytes, moment_us: int, *, piece: bool = False) -> Line:
    text = data.decode("utf-8", "replace")
    return Line(stream=stream, text=text, moment_us=moment_us, piece=piece)
