"""`python -m tests.benchmarks [name…]`: run benchmarks, print their figures, exit 1 on a miss.

A benchmark is a module here with ``main() -> list[Figure]``. Ratios are against a raw baseline
measured in the same run; figures in milliseconds or bytes are told with the machine.
"""

import importlib
import os
import pkgutil
import platform
import sys
import time

from tests import benchmarks
from tests.benchmarks.figures import Figure, table

PARTS = {"figures", "generate", "__main__"}
LONG = {"postgres_parts", "replay", "scale", "stores"}
"""Run only where they are named."""


def names() -> list[str]:
    """Every benchmark there is."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return [name for name in found if name not in PARTS and not name.startswith("_")]


def main(wanted: list[str]) -> int:
    """Run the wanted benchmarks, or all; gives the exit code."""
    unknown = sorted(set(wanted) - set(names()))
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(names())}")
        return 2
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    missed = 0
    for name in wanted or [name for name in names() if name not in LONG]:
        begun = time.monotonic()
        figures: list[Figure] = importlib.import_module(f"tests.benchmarks.{name}").main()
        print(f"\n{name} ({time.monotonic() - begun:.0f} s)\n{table(figures)}", flush=True)
        missed += sum(not figure.ok for figure in figures)
    print(f"\n{missed} missed" if missed else "\nall reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
