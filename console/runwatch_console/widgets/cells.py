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
    """The text in lines of at most `width` cells, broken at spaces where one is near, else anywhere."""
    if width < 2:
        return [text]
    lines = []
    rest = text
    while cell_len(rest) > width:
        cut = _cells_to_index(rest, width)
        space = rest.rfind(" ", max(1, cut - width // 3), cut + 1)
        end = space if space > 0 else cut
        lines.append(rest[:end])
        rest = rest[end + 1 :] if space > 0 else rest[end:]
    lines.append(rest)
    return lines


def _cells_to_index(text: str, width: int) -> int:
    """Index of the first character that does not fit in `width` cells."""
    if text[: width + 1].isascii():
        return width
    used = 0
    for index, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return max(1, index)
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
