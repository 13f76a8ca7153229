"""Text cut and filled to an exact number of terminal cells; CJK and emoji count two."""

import re
from typing import Literal

from rich.cells import cell_len, set_cell_size

Align = Literal["left", "right"]


def fit(text: str, width: int, align: Align = "left", *, ellipsis: str = "…") -> str:
    """The text in exactly `width` cells; what does not fit ends in the ellipsis."""
    if width <= 0:
        return ""
    if text.isascii():
        length = len(text)
        if length > width:
            return text[: width - 1] + ellipsis
        return text.rjust(width) if align == "right" else text.ljust(width)
    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, width - 1).rstrip() + ellipsis, width)
    space = " " * (width - length)
    return space + text if align == "right" else text + space


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, broken at spaces where one is near, else
    anywhere.

    Linear in the text, however long it is.
    """
    if width < 2 or len(text) * 2 <= width:
        return [text]
    lines = []
    start = 0
    while (end := _end_of_line(text, start, width)) < len(text):
        space = text.rfind(" ", max(start + 1, end - width // 3), end + 1)
        lines.append(text[start : space if space > 0 else end])
        start = space + 1 if space > 0 else end
    lines.append(text[start:])
    return lines


def _end_of_line(text: str, start: int, width: int) -> int:
    """Index of the first character that does not fit in `width` cells from `start` on; the
    length if all do.
    """
    piece = text[start : start + width + 1]
    if piece.isascii():
        return min(len(text), start + width)
    used = 0
    # Characters of no width make the line longer than its cells.
    for index in range(start, len(text)):
        used += cell_len(text[index])
        if used > width:
            return max(start + 1, index)
    return len(text)


def split_matches(text: str, needle: re.Pattern[str] | None) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it matches the search."""
    if needle is None:
        return [(text, False)]
    pieces = []
    end = 0
    for match in needle.finditer(text):
        if match.end() == match.start():
            continue
        if match.start() > end:
            pieces.append((text[end : match.start()], False))
        pieces.append((match[0], True))
        end = match.end()
    if end < len(text):
        pieces.append((text[end:], False))
    return pieces or [(text, False)]
