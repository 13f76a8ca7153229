"""Amounts of memory and processors as people write them for containers; pure."""

import math
import re
from typing import Final

_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "m": 1 << 20,
    "g": 1 << 30,
    "t": 1 << 40,
}
_MEMORY: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
LEAST_MEMORY: Final = 4 << 20
MOST_MEMORY: Final = 1 << 50
MOST_CPUS: Final = 10_000.0
THOUSANDTH: Final = 1000


def memory_bytes_of(amount: str | int) -> int:
    """``512m``, ``4g``, ``2Gi``, ``1.5 GB`` (units are powers of 1024), or bytes.

    Raises:
        ValueError: It is none, or below 4 MiB.
    """
    found = _MEMORY.fullmatch(str(amount).strip())
    if found is None:
        raise ValueError("no amount of memory")
    size = int(float(found[1]) * _UNITS[found[2].lower()])
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise ValueError("no amount of memory for a run")
    return size


def cpus_of(amount: str | float) -> float:
    """``1.5``, or ``500m`` in thousandths.

    Raises:
        ValueError: It is none, or not above 0.
    """
    text = str(amount).strip()
    number = float(text.removesuffix("m"))
    cpus = number / THOUSANDTH if text.endswith("m") else number
    if not math.isfinite(cpus) or not 0 < cpus <= MOST_CPUS:
        raise ValueError("no number of processors")
    return cpus
