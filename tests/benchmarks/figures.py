"""Figures: what a benchmark measured, what it must reach, and the table that shows it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value.

    ``floor`` and ``ceiling`` are what it must reach or stay below; with neither it is only told.
    """

    name: str
    value: float
    unit: str = "×"
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the value is where it must be."""
        if self.floor is not None and self.value < self.floor:
            return False
        return self.ceiling is None or self.value <= self.ceiling

    @property
    def wanted(self) -> str:
        """The bound in words."""
        if self.floor is not None:
            return f"≥ {self.floor:g}"
        return "" if self.ceiling is None else f"≤ {self.ceiling:g}"


def table(figures: Iterable[Figure]) -> str:
    """The figures as lines of text, one a figure."""
    rows = [
        (
            "ok" if figure.ok else "MISS",
            figure.name,
            f"{figure.value:,.2f} {figure.unit}",
            figure.wanted,
            figure.note,
        )
        for figure in figures
    ]
    widths = [max((len(row[n]) for row in rows), default=0) for n in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )


def interleaved(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """The median of each measure over rounds that take turns, so that noise falls on all alike."""
    samples: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for taken, measure in zip(samples, measures, strict=True):
            taken.append(measure())
    return [median(taken) for taken in samples]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Medians over rounds: of both sides, and of one over the other within each round."""

    ratio: float
    ours: float
    theirs: float


def compared(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> Compared:
    """Both sides in turn, who is first changing with every round.

    What one round compares was measured within seconds, so a disk or a machine that is slow for a
    while moves both sides, and the median of the ratios stays.
    """
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            after = theirs()
            pairs.append((ours(), after))
        else:
            before = ours()
            pairs.append((before, theirs()))
    return Compared(
        ratio=median(mine / other for mine, other in pairs),
        ours=median(mine for mine, _ in pairs),
        theirs=median(other for _, other in pairs),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
