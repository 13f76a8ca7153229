"""Two runs step by step: which calls are the same, where the first difference is; pure.

Two calls are the same when tool and input are (`toolcalls`). The alignment is a longest common
subsequence, found by the bit-parallel method of Crochemore et al., "A fast and practical
bit-vector algorithm for the longest common subsequence problem" (2001).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runwatch_console.toolcalls import CallKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One tool call of a run. `text` is clean."""

    seq: int
    key: CallKey
    status: str
    """Contract 5.6, Step: open succeeded failed cancelled unknown."""
    duration_ms: int | None
    text: str


class Kind(StrEnum):
    """How two steps compare."""

    SAME = "same"
    OUTCOME = "outcome"
    """The same call with another end."""
    INPUT = "input"
    """The same tool in the same place with another input."""
    LEFT = "left"
    """Only the first run made it."""
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of the comparison; a side that made no such call is None."""

    kind: Kind
    left: Call | None
    right: Call | None

    @property
    def delta_ms(self) -> int | None:
        """How much longer the second took; None unless both ended."""
        if self.left is None or self.right is None:
            return None
        if self.left.duration_ms is None or self.right.duration_ms is None:
            return None
        return self.right.duration_ms - self.left.duration_ms


def align(left: Sequence[Call], right: Sequence[Call]) -> list[Pair]:
    """Every call of both once, in the order of both."""
    pairs: list[Pair] = []
    at_left = at_right = 0
    matches = common([call.key for call in left], [call.key for call in right])
    for i, j in [*matches, (len(left), len(right))]:
        pairs += _between(left[at_left:i], right[at_right:j])
        if i < len(left):
            one, two = left[i], right[j]
            kind = Kind.SAME if one.status == two.status else Kind.OUTCOME
            pairs.append(Pair(kind, one, two))
        at_left, at_right = i + 1, j + 1
    return pairs


def _between(left: Sequence[Call], right: Sequence[Call]) -> list[Pair]:
    """What stands between two calls that are the same: calls of one tool face each other."""
    pairs: list[Pair] = []
    at_left = at_right = 0
    tools = common([call.key.tool for call in left], [call.key.tool for call in right])
    for i, j in [*tools, (len(left), len(right))]:
        pairs += [Pair(Kind.LEFT, call, None) for call in left[at_left:i]]
        pairs += [Pair(Kind.RIGHT, None, call) for call in right[at_right:j]]
        if i < len(left):
            pairs.append(Pair(Kind.INPUT, left[i], right[j]))
        at_left, at_right = i + 1, j + 1
    return pairs


def differences(pairs: Sequence[Pair]) -> list[int]:
    """Where two runs differ: the index of the first pair of each stretch of differing ones."""
    return [
        index
        for index, pair in enumerate(pairs)
        if pair.kind is not Kind.SAME and (index == 0 or pairs[index - 1].kind is Kind.SAME)
    ]


def common(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Index pairs of a longest common subsequence, rising on both sides."""
    start = _same_at_start(left, right)
    end = _same_at_end(left[start:], right[start:])
    inner_left = left[start : len(left) - end]
    inner_right = right[start : len(right) - end]
    pairs = [(index, index) for index in range(start)]
    pairs += [(start + i, start + j) for i, j in _longest(inner_left, inner_right)]
    ends = range(end, 0, -1)
    return pairs + [(len(left) - back, len(right) - back) for back in ends]


def _same_at_start(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    count = 0
    for one, two in zip(left, right, strict=False):
        if one != two:
            break
        count += 1
    return count


def _same_at_end(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    return _same_at_start(left[::-1], right[::-1])


def _longest(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Rows of bits, one a symbol of `right`: a 0 at bit i where the length grows at `left[i]`."""
    everywhere: Final[dict[Hashable, int]] = {}
    for index, symbol in enumerate(left):
        everywhere[symbol] = everywhere.get(symbol, 0) | 1 << index
    full = (1 << len(left)) - 1
    row, rows = full, []
    for symbol in right:
        found = row & everywhere.get(symbol, 0)
        row = ((row + found) | (row - found)) & full
        rows.append(row)
    pairs = []
    i, j = len(left), len(right)
    while i and j:
        bit = 1 << (i - 1)
        if rows[j - 1] & bit:
            i -= 1
        elif j > 1 and not rows[j - 2] & bit:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
