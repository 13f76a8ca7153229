"""24 hours in minutes: a recorded day of 5,000 runs and 2,000,000 events, played at full speed, and
what the console holds meanwhile.

`REPLAY_EVENTS`, `REPLAY_RUNS` and `REPLAY_HOURS` make it smaller.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks._replay_story import make_recording
from tests.benchmarks.figures import Figure

WARM_UP = 0.2
"""Of the recording: until then rows, strips and caches come to be."""
SHOWN = 12
LONGEST_S = 1_500


def main() -> list[Figure]:
    events = int(os.environ.get("REPLAY_EVENTS", "2000000"))
    runs = int(os.environ.get("REPLAY_RUNS", "5000"))
    hours = float(os.environ.get("REPLAY_HOURS", "24"))
    with tempfile.TemporaryDirectory(prefix="runwatch-bench-") as name:
        path = Path(name) / "day.jsonl"
        begun = time.monotonic()
        made, lines, length_s = make_recording(path, runs=runs, events=events, hours=hours)
        size = path.stat().st_size
        took = time.monotonic() - begun
        print(f"made {made:,} events, {lines:,} lines, {size / 2**20:,.0f} MiB in {took:,.0f} s")
        told = played(path)
    for each in told[:: max(1, len(told) // SHOWN)]:
        hour = each["position_s"] / 3600
        print(f"  {hour:5.1f} h  {each['rss'] / 2**20:6.1f} MiB  {each['rows']:,} rows")
    warm = [each["rss"] for each in told if each["position_s"] >= WARM_UP * length_s]
    middle = median(warm)
    seconds = told[-1]["after_s"]
    return [
        Figure(name="highest memory after warm-up / median", value=max(warm) / middle, ceiling=1.1),
        Figure(name="lowest memory after warm-up / median", value=min(warm) / middle, floor=0.9),
        Figure(name="memory, median", value=middle / 2**20, unit="MiB"),
        Figure(name="played to its end", value=told[-1]["position_s"] / length_s, floor=0.999),
        Figure(name="times as fast as it was", value=length_s / seconds, floor=24),
        Figure(name="events a second", value=made / seconds, unit="/s"),
    ]


def played(path: Path) -> list[dict[str, Any]]:
    """What the console told of itself while it played."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks._replay_console", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST_S,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
