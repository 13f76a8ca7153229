"""A JSON value as lines that fold; every text harmless; pure.

A path is the keys and indices from the root; it names a line as long as the value stays the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from runwatch_shared.text import clean

Path = tuple[str | int, ...]

CLOSING: Final = -1
"""Last part of the path of a closing bracket; a text's further lines count down from it. No index
of a list is negative, so these paths are nobody else's."""
MAX_LINES: Final = 20_000
TEXT_LIMIT: Final = 16_000
"""Characters of one text; what is longer ends in `…`."""


@dataclass(frozen=True, slots=True)
class JsonLine:
    """One line. `tone`: a name of the style sheet for the value."""

    path: Path
    depth: int
    key: str
    text: str
    tone: str
    foldable: bool = False
    folded: bool = False


def json_lines(value: Any, folded: frozenset[Path] = frozenset()) -> list[JsonLine]:
    """All lines of a value, those below a folded path left out; at most MAX_LINES."""
    lines: list[JsonLine] = []
    for line in _lines(value, (), 0, "", folded):
        if len(lines) >= MAX_LINES:
            lines.append(JsonLine((), 0, "", "…", "muted"))
            break
        lines.append(line)
    return lines


def foldable_paths(value: Any) -> frozenset[Path]:
    """Every path that can be folded, without the root."""
    return frozenset(line.path for line in json_lines(value) if line.foldable and line.path)


def _lines(
    value: Any, path: Path, depth: int, key: str, folded: frozenset[Path]
) -> Iterator[JsonLine]:
    if isinstance(value, dict):
        yield from _children(value.items(), "{}", path, depth, key, folded)
    elif isinstance(value, list):
        yield from _children(enumerate(value), "[]", path, depth, key, folded)
    elif isinstance(value, str):
        yield from _text_lines(value, path, depth, key)
    else:
        text = {None: "null", True: "true", False: "false"}.get(value, str(value))
        yield JsonLine(path, depth, key, text, "json-constant" if value is None else "json-number")


def _children(
    items: Any, brackets: str, path: Path, depth: int, key: str, folded: frozenset[Path]
) -> Iterator[JsonLine]:
    pairs = list(items)
    if not pairs:
        yield JsonLine(path, depth, key, brackets, "muted")
        return
    shut = path in folded
    text = f"{brackets[0]} {len(pairs)} {brackets[1]}" if shut else brackets[0]
    yield JsonLine(path, depth, key, text, "muted", foldable=True, folded=shut)
    if shut:
        return
    for name, child in pairs:
        shown = clean(str(name), limit=200) if isinstance(name, str) else str(name)
        yield from _lines(child, (*path, name), depth + 1, shown, folded)
    yield JsonLine((*path, CLOSING), depth, "", brackets[1], "muted")


def _text_lines(value: str, path: Path, depth: int, key: str) -> Iterator[JsonLine]:
    """A text of several lines is shown in several lines."""
    lines = clean(value, limit=TEXT_LIMIT, newlines=True, tab_size=4).split("\n")
    yield JsonLine(path, depth, key, lines[0] if len(lines) > 1 else f'"{lines[0]}"', "json-text")
    for number, line in enumerate(lines[1:], 1):
        yield JsonLine((*path, CLOSING - number), depth + 1, "", line, "json-text")


def fold_path(line: JsonLine) -> Path:
    """The path that folding at this line means: its own, else that of what it stands in."""
    if line.foldable:
        return line.path
    last = line.path[-1] if line.path else ""
    if isinstance(last, int) and last < CLOSING:
        return line.path[:-2]
    return line.path[:-1]
