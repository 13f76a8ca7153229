"""What a search index answers to the lists and pages that look for a word."""

from typing import Protocol

import msgspec


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that may hold a word. Whoever asks looks at them again."""

    ids: str
    """A JSON list."""
    complete: bool
    """Whether no other row holds it."""


class Spans(msgspec.Struct, frozen=True, kw_only=True):
    """Stretches of a run's events that may hold a word, in the order of reading."""

    ranges: list[tuple[int, int]]
    to_seq: int
    """Later events are not indexed yet."""
    complete: bool
    """Whether there are no further ones up to there."""


class Search(Protocol):
    """Every answer is None where the index cannot give one: then every row is to be looked at."""

    def few(self, table: str, rows: int) -> int:
        """As many matches as are better found and sorted, than met in the order of the list."""
        ...

    def having(self, table: str, q: str, *, at_most: int, partly: bool = False) -> Found | None:
        """Rows of ``runs`` or ``tasks`` that may hold a word; None where they are more.

        Args:
            partly: To count: some where they are more.
        """
        ...

    def spans(
        self, run_id: str, q: str, *, above_seq: int, below_seq: int, downward: bool
    ) -> Spans | None:
        """Events of a run that may hold a word, between two positions, both excluded."""
        ...

    def close(self) -> None: ...
