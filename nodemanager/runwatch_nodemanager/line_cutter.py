"""Cuts a stream of bytes into lines, long ones into pieces; standard library only."""

from typing import Final

PIECE_BYTES: Final = 32 * 1024
"""A piece, however its characters are escaped in JSON, stays under an event's 256 KiB."""


class LineCutter:
    """Turns chunks into ``(kind, bytes)``: whole lines without their end, pieces of longer ones.

    A line longer than ``PIECE_BYTES`` comes as pieces and then one line with what is left, which
    may be empty. Pieces end between UTF-8 characters where the bytes are UTF-8.
    """

    def __init__(self, line_kind: int, part_kind: int) -> None:
        self._line_kind = line_kind
        self._part_kind = part_kind
        self._rest = b""

    @property
    def waiting(self) -> bool:
        """Whether the beginning of a line is held back."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        records: list[tuple[int, bytes]] = []
        for line in lines:
            left = line if len(line) <= PIECE_BYTES else self._cut(line, records)
            records.append((self._line_kind, left))
        self._rest = rest if len(rest) <= PIECE_BYTES else self._cut(rest, records)
        return records

    def flush(self, *, ended: bool) -> list[tuple[int, bytes]]:
        """What is held back: as a line if the stream ``ended``, else as a piece."""
        if not self._rest:
            return []
        end = len(self._rest) if ended else _character_end(self._rest, len(self._rest))
        data, self._rest = self._rest[:end], self._rest[end:]
        return [(self._line_kind if ended else self._part_kind, data)] if data else []

    def _cut(self, data: bytes, records: list[tuple[int, bytes]]) -> bytes:
        start = 0
        while len(data) - start > PIECE_BYTES:
            end = start + _character_end(data[start : start + PIECE_BYTES], PIECE_BYTES)
            records.append((self._part_kind, data[start:end]))
            start = end
        return data[start:]


def _character_end(data: bytes, end: int) -> int:
    """The largest place up to ``end`` that does not split a UTF-8 character; never 0."""
    for back in range(1, min(4, end) + 1):
        byte = data[end - back]
        if byte & 0xC0 == 0x80:
            continue
        wanted = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        split = wanted > back and byte < 0xF8
        return end - back if split and end > back else end
    return end
