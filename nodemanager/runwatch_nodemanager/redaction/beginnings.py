"""Whether data ends in what may be the beginning of one of many texts."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from ahocorasick_rs import BytesAhoCorasick

HEAD_BYTES: Final = 6
"""Where the beginning of a text may end a piece, so much of it is looked up at once."""


class Beginnings:
    """Of the ``texts``, none of them empty."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = sorted(set(texts))
        heads = sorted({text[:HEAD_BYTES] for text in self._texts})
        self._heads = BytesAhoCorasick(heads)
        self._short = {head[:size] for head in heads for size in range(1, len(head))}
        self.longest = max((len(text) for text in self._texts), default=0)

    def begun(self, data: bytes) -> int:
        """From where on the end of the data may be one; its length if that is nowhere."""
        base = max(0, len(data) - self.longest)
        tail = data[base:]
        heads = self._heads.find_matches_as_indexes(tail, overlapping=True)
        begun = [at for _, at, _ in heads if self._starts_with(tail[at:])]
        short = range(1, min(HEAD_BYTES, len(tail) + 1))
        begun += [len(tail) - size for size in short if tail[-size:] in self._short]
        return base + min(begun, default=len(tail))

    def _starts_with(self, rest: bytes) -> bool:
        nearest = bisect_left(self._texts, rest)
        return nearest < len(self._texts) and self._texts[nearest].startswith(rest)
