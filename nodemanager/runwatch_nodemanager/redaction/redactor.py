"""Replaces secrets in text and in streams that come in pieces; what is secret others decide."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from ahocorasick_rs import BytesAhoCorasick

from runwatch_nodemanager.redaction.beginnings import Beginnings
from runwatch_nodemanager.redaction.patterns import PATTERNS, SECRET, Pattern
from runwatch_nodemanager.redaction.rows import CODE, row_start, rows_in
from runwatch_nodemanager.redaction.spellings import spellings

LOOKED_UP_BYTES: Final = 64
"""A longer spelling is compared where its beginning was found: the automaton stays small."""
MASK: Final = b"***"
REACH_BYTES: Final = 4096
"""Of a line without end so much is held back: a pattern may go on."""
HELD_BYTES: Final = 32 * 1024
"""Beyond the longest spelling never more is held back; what is secret so far is then replaced."""

Span = tuple[int, int]


class Rules:
    """What is to be found; built once, shared by any number of streams.

    Args:
        secrets: Each is found in all its `spellings`; one shorter than these allow is not.
        expressions: Regular expressions (Python's, over bytes); one sees a single line of at
            most ``REACH_BYTES``. A group named ``secret`` is what is replaced, else all.

    Raises:
        re.error: An expression is none.
    """

    def __init__(self, secrets: Iterable[str] = (), expressions: Iterable[str] = ()) -> None:
        needles = {spelling for secret in secrets for spelling in spellings(secret)}
        self._of_head: dict[bytes, list[bytes]] = defaultdict(list)
        for needle in sorted(needles, key=len, reverse=True):
            self._of_head[needle[:LOOKED_UP_BYTES]].append(needle)
        self._looked_up = list(self._of_head.values())
        self._expressions = [re.compile(text.encode()) for text in expressions]
        self._of_trigger: list[Pattern] = []
        triggers: list[bytes] = []
        for pattern in PATTERNS:
            triggers += pattern.triggers
            self._of_trigger += [pattern] * len(pattern.triggers)
        self._automaton = BytesAhoCorasick([*self._of_head, *triggers])
        self._beginnings = Beginnings([*needles, *triggers])
        self._in_rows = Beginnings(needle for needle in needles if CODE.fullmatch(needle))
        self.held_bytes = HELD_BYTES + self._beginnings.longest
        """Most a stream may hold back."""

    def text(self, text: str) -> str:
        """The text without what is secret."""
        data = text.encode("utf-8", "surrogatepass")
        clean = self.data(data)
        return text if clean == data else clean.decode("utf-8", "replace")

    def data(self, data: bytes) -> bytes:
        """The bytes without what is secret."""
        return replaced(data, self.spans(data, ended=True)[0])

    def tree(self, value: Any) -> Any:
        """The value as JSON has it, each string in it, names too, without what is secret."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.tree(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(inner) for inner in value]
        return value

    def spans(self, data: bytes, *, ended: bool) -> tuple[list[Span], int]:
        """What is secret, in order and apart, and the place from which more may become so.

        Args:
            ended: Nothing follows ``data``.
        """
        found: list[Span] = []
        open_from = len(data)
        for number, start, _ in self._automaton.find_matches_as_indexes(data, overlapping=True):
            if number < len(self._looked_up):
                whole = (n for n in self._looked_up[number] if data.startswith(n, start))
                found += [(start, start + len(needle)) for needle in whole]
                continue
            pattern = self._of_trigger[number - len(self._looked_up)]
            match = pattern.expression.match(data, start)
            if match is not None:
                found.append(_secret_of(match))
            if pattern.unfinished.match(data, match.end() if match else start):
                open_from = min(open_from, start)
        for expression in self._expressions:
            for match in expression.finditer(data):
                found.append(_secret_of(match))
                if match.end() == len(data):
                    open_from = min(open_from, match.start())
        if self._in_rows.longest:
            in_rows, row_open_from = self._spans_in_rows(data)
            found += in_rows
            open_from = min(open_from, row_open_from)
        open_from = len(data) if ended else min(open_from, self._beginnings.begun(data))
        return _merged(span for span in found if data[span[0] : span[1]].strip()), open_from

    def _spans_in_rows(self, data: bytes) -> tuple[list[Span], int]:
        """What is secret and goes on in another row; the rows are searched as one."""
        found: list[Span] = []
        open_from = len(data)
        for rows in rows_in(data):
            matches = self._automaton.find_matches_as_indexes(rows.data, overlapping=True)
            for number, start, _ in matches:
                if number >= len(self._looked_up):
                    continue
                for needle in self._looked_up[number]:
                    end = start + len(needle)
                    if rows.data.startswith(needle, start) and rows.broken(start, end):
                        found.append((rows.place(start), rows.place(end - 1) + 1))
            if rows.end == len(data):
                begun = self._in_rows.begun(rows.data)
                if begun < len(rows.data):
                    open_from = rows.place(begun)
        return found, open_from


class Redactor:
    """One stream. What it was fed comes out once it is known not to be, or replaced."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._held = b""

    @property
    def waiting(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def feed(self, chunk: bytes) -> bytes:
        """What can be shown now: as a rule all whole lines."""
        data = self._held + chunk
        line = data.rfind(b"\n") + 1
        return self._release(data, max(line, len(data) - REACH_BYTES))

    def flush(self, *, ended: bool) -> bytes:
        """All of it if the stream ``ended``, else what is held back only for its line's sake."""
        data, self._held = self._held, b""
        if ended:
            return self._rules.data(data)
        return self._release(data, len(data))

    def _release(self, data: bytes, most: int) -> bytes:
        spans, open_from = self._rules.spans(data, ended=False)
        end = min(most, open_from)
        end = next((start for start, stop in spans if start < end < stop), end)
        if end < most:
            end = row_start(data, end)
        most_held = self._rules.held_bytes
        if len(data) - end > most_held:
            end = max([len(data) - most_held, *(stop for _, stop in spans)])
        self._held = data[end:]
        return replaced(data[:end], [span for span in spans if span[1] <= end])


def replaced(data: bytes, spans: list[Span]) -> bytes:
    """The data with `MASK` in place of each of the spans, which are in order and apart."""
    if not spans:
        return data
    parts = []
    at = 0
    for start, end in spans:
        parts += [data[at:start], MASK]
        at = end
    return b"".join((*parts, data[at:]))


def _secret_of(match: re.Match[bytes]) -> Span:
    return match.span(SECRET if SECRET in match.re.groupindex else 0)


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
