"""A command that prints numbered lines at a rate, and what must have become of each of them."""

import os
import sys
from pathlib import Path
from typing import Any

from tests.faults.following import check_events

LINES_PER_S = 5000

# Prints lines until the gate opens; notes how many, also while it runs.
SCRIPT = """
import os, sys, time
gate, count_file, rate, width = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
n, began = 0, time.monotonic()
counts = open(count_file, "w")
while not os.path.exists(gate):
    due = int((time.monotonic() - began) * rate) + 1
    while n < due:
        upto = min(due, n + 500)
        block = "".join(f"line {i}".ljust(width - 1) + "\\n" for i in range(n + 1, upto + 1))
        os.write(1, block.encode()) if len(block) <= 4096 else sys.stdout.write(block)
        sys.stdout.flush()
        n = upto
        counts.seek(0)
        counts.write(f"{n:12}")
        counts.flush()
    time.sleep(0.01)
print(f"the last is {n}", flush=True)
"""


class Numbered:
    """One such command; ``width`` is that of a line with its end, in bytes."""

    def __init__(self, folder: Path, *, rate: int = LINES_PER_S, width: int = 20) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.gate = folder / "gate"
        self.counts = folder / "count"
        arguments = [str(self.gate), str(self.counts), str(rate), str(width)]
        self.argv = [sys.executable, "-c", SCRIPT, *arguments]

    def produced(self) -> int:
        """So many lines at least are printed."""
        return int(self.counts.read_text() or 0) if self.counts.exists() else 0


def count_of(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default))


def printed(events: list[dict[str, Any]]) -> list[str]:
    """The lines that arrived, pieces put together."""
    found, begun = [], ""
    for event in events:
        if "stdout" in event["payload"]:
            begun += event["payload"]["stdout"]
            if not event["payload"].get("piece"):
                found.append(begun.rstrip())
                begun = ""
    return found


def declared_lost(events: list[dict[str, Any]]) -> int:
    """Lines that warnings say are lost."""
    payloads = [event["payload"] for event in events if event["type"] == "warning"]
    return sum(
        payload.get("lost_lines") or payload.get("lost_records") or 0 for payload in payloads
    )


def assert_all_accounted_for(events: list[dict[str, Any]], *, produced: int) -> None:
    """Every number once or declared lost, in order, and the line that says the last one."""
    lines = printed(events)
    numbers = [int(line.removeprefix("line ")) for line in lines if line.startswith("line ")]
    assert numbers == sorted(set(numbers))
    assert lines[len(numbers) :] in ([], [f"the last is {produced}"])
    assert len(lines) + declared_lost(events) == produced + 1
    check_events(events)
