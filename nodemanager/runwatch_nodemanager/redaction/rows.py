"""Data in codes that are broken into rows, as ``base64`` and ``xxd -p`` print them, put together.

What is secret is known to `redactor`; here is where a row ends and what stood where.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

ROW_BYTES: Final = 56
"""The usual rows have 60, 64 or 76; the name of a commit, 40, is none."""
_CODE: Final = rb"[A-Za-z0-9+/_-]"
CODE: Final = re.compile(_CODE + rb"+")
"""What can stand in rows."""
_ROW_END: Final = re.compile(rb"(?:\r|\\{1,4}r)?(?:\n|\\{1,4}n)")
_BLOCK: Final = re.compile(rb"(?:%b{%d,}+%b)+%b*+" % (_CODE, ROW_BYTES, _ROW_END.pattern, _CODE))
_SHAPE: Final = bytes(
    ord("x") if CODE.fullmatch(bytes([byte])) else ord(" ") for byte in range(256)
)
_LONG_ROW: Final = b"x" * ROW_BYTES


class Rows:
    """Rows that follow each other, as ``data`` without what ends them."""

    def __init__(self, match: re.Match[bytes]) -> None:
        block, at = match[0], match.start()
        self.end = match.end()
        self._starts = [0]
        self._places = [at]
        parts = []
        begin = 0
        for end in _ROW_END.finditer(block):
            parts.append(block[begin : end.start()])
            begin = end.end()
            self._starts.append(self._starts[-1] + len(parts[-1]))
            self._places.append(at + begin)
        self.data = b"".join((*parts, block[begin:]))

    def place(self, offset: int) -> int:
        """Where in the original that byte of ``data`` stands."""
        row = bisect_right(self._starts, offset) - 1
        return self._places[row] + offset - self._starts[row]

    def broken(self, start: int, end: int) -> bool:
        """Whether a row ends between these places of ``data``."""
        return bisect_right(self._starts, start) != bisect_right(self._starts, end - 1)


def rows_in(data: bytes) -> Iterator[Rows]:
    """All of them, also one row whose next may follow the data."""
    return map(Rows, _blocks(data))


def row_start(data: bytes, place: int) -> int:
    """Where the row begins that ``place`` is in, else ``place``: a row is known by its length."""
    for match in _blocks(data):
        if match.start() <= place < match.end():
            ends = [end.end() for end in _ROW_END.finditer(data, match.start(), place)]
            return ends[-1] if ends else match.start()
    return place


def _blocks(data: bytes) -> Iterator[re.Match[bytes]]:
    # Most data has no such row, and this is ten times as fast as to look for one by expression.
    shape = data.translate(_SHAPE)
    at = shape.find(_LONG_ROW)
    while at >= 0:
        match = _BLOCK.match(data, at)
        if match:
            yield match
        end = match.end() if match else shape.find(b" ", at)
        at = shape.find(_LONG_ROW, end) if end >= 0 else -1
