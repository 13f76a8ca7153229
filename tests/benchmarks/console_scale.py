"""The console under load, beside Textual's `DataTable` and a bare Textual app in the same run.

With `console` it is the table of figures of the console: filters, processor, memory, a long log and
bytes while nothing happens, on a fleet of 5,000 rows.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks._scripted_console import LOG_EVENTS, run_id_of
from tests.benchmarks._terminal import Terminal
from tests.benchmarks.console import ROOT, ROWS, SETTLED_S, compile_all, environment, told_ms
from tests.benchmarks.figures import Figure, percentile

CHANGES_PER_S: Final = 200
FILTERS: Final = 24
OPENS: Final = 8
PAGES_UP: Final = 40
LOAD_S: Final = 6.0
LOAD_ROUNDS: Final = 2
IDLE_S: Final = 12.0
SLOW_IDLE_S: Final = 48.0
"""A slow link is written to every few seconds: its ends must not weigh."""
LIVE: Final = re.compile(rb"\xe2\x97\x8f live")
BARE_READY: Final = re.compile(rb"bare and ready")
ESCAPE: Final = "\x1b[27u"
"""As terminals with the keyboard protocol that Textual asks for send it; of a bare escape Textual
waits up to 100 ms for the rest."""
ALL: Final = re.compile(rb"5,000 of 5,000")
SOME: Final = re.compile(rb"[\d,]+ of 5,000")


def main() -> list[Figure]:
    """All of them; the three programs run one after the other, never together."""
    compile_all()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*filters(folder), *load(folder), *long_log(folder), *idle(folder)]


def console(folder: Path, changes_per_s: int = CHANGES_PER_S, **settings: str) -> Terminal:
    """The console on a scripted fleet, live and on its table of runs."""
    terminal = _started(
        folder, "_scripted_console", str(ROWS), str(changes_per_s), ready=LIVE, **settings
    )
    terminal.press("2")
    terminal.wait_for(ALL)
    terminal.watch(SETTLED_S)
    return terminal


def table(folder: Path) -> Terminal:
    """The same rows in a `DataTable`."""
    return _started(folder, "_table_app", str(ROWS), str(CHANGES_PER_S), ready=ALL)


def bare(folder: Path) -> Terminal:
    """The least Textual app there is."""
    return _started(folder, "_bare_app", ready=BARE_READY)


def _started(
    folder: Path, module: str, *arguments: str, ready: re.Pattern[bytes], **settings: str
) -> Terminal:
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    terminal = Terminal(command, environment(folder) | settings, ROOT)
    terminal.wait_for(ready)
    terminal.watch(SETTLED_S)
    return terminal


def filters(folder: Path) -> list[Figure]:
    """A filter that is typed, and one that is given up, until the number of rows is another."""

    def taken(terminal: Terminal, key: str, shown: re.Pattern[bytes]) -> float:
        terminal.watch(SETTLED_S / 5)
        begun = terminal.press(key)
        return terminal.wait_for(shown) - begun

    applied, cleared = [], []
    with console(folder) as terminal:
        for _ in range(FILTERS):
            terminal.press("f")
            applied.append(taken(terminal, "9", SOME))
            cleared.append(taken(terminal, ESCAPE, ALL))
    other: dict[str, list[float]] = {"f": [], "F": []}
    with table(folder) as terminal:
        for _ in range(2):
            other["f"].append(taken(terminal, "f", SOME))
            other["F"].append(taken(terminal, "F", ALL))
    return [
        _ms("filter applied, 5,000 rows", applied, 50, f"DataTable {told_ms(other['f'], 0.5)}"),
        _ms("filter cleared, 5,000 rows", cleared, 50, f"DataTable {told_ms(other['F'], 0.5)}"),
    ]


def load(folder: Path) -> list[Figure]:
    """Processor time while rows change, against a `DataTable` that shows the same."""
    ours, theirs = [], []
    for _ in range(LOAD_ROUNDS):
        with console(folder) as terminal:
            ours.append(_load(terminal))
        with table(folder) as terminal:
            theirs.append(_load(terminal))
    note = f"{ROWS:,} rows, DataTable {median(theirs):.0f} %"
    return [
        Figure(
            name=f"processor at {CHANGES_PER_S} row changes/s",
            value=median(ours),
            unit="%",
            ceiling=10,
            note=note,
        ),
        Figure(
            name="processor, against DataTable", value=median(ours) / median(theirs), ceiling=0.1
        ),
    ]


def _load(terminal: Terminal) -> float:
    """Per cent of one core."""
    terminal.turn()
    terminal.watch(SETTLED_S)
    begun, begun_cpu = time.perf_counter(), terminal.cpu_s()
    terminal.watch(LOAD_S)
    return (terminal.cpu_s() - begun_cpu) / (time.perf_counter() - begun) * 100


def long_log(folder: Path) -> list[Figure]:
    """A long run opened at its tail, again and again, and the memory after going up in it."""
    taken = []
    newest = re.compile(rb"line %d" % LOG_EVENTS)
    with console(folder) as terminal:
        rows_mib = terminal.resident_mib()
        for number in range(OPENS):
            terminal.press(":")
            terminal.watch(SETTLED_S / 4)
            terminal.press(f"run {run_id_of(number)}")
            terminal.watch(SETTLED_S / 4)
            begun = terminal.press("\r")
            taken.append(terminal.wait_for(newest) - begun)
            terminal.watch(SETTLED_S / 4)
            terminal.press("2")
            terminal.watch(SETTLED_S / 4)
        terminal.press("3")
        for _ in range(PAGES_UP):
            terminal.press("\x1b[5~")
            terminal.watch(0.05)
        terminal.watch(SETTLED_S)
        mib = terminal.resident_mib()
    with table(folder) as terminal:
        table_mib = terminal.resident_mib()
    with bare(folder) as terminal:
        bare_mib = terminal.resident_mib()
    note = (
        f"{rows_mib:.0f} before the run; DataTable with the rows alone {table_mib:.0f},"
        f" bare {bare_mib:.0f}"
    )
    return [
        _ms(f"run of {LOG_EVENTS:,} events opened, first screen", taken, 300, "its tail"),
        Figure(
            name=f"memory, {ROWS:,} rows and a run of {LOG_EVENTS:,} events",
            value=mib,
            unit="MiB",
            ceiling=200,
            note=note,
        ),
    ]


def idle(folder: Path) -> list[Figure]:
    """Bytes to the terminal while nothing happens but time."""

    def per_second(start: Callable[[], Terminal], seconds: float = IDLE_S) -> float:
        with start() as terminal:
            terminal.watch(SETTLED_S)
            begun, before = time.perf_counter(), terminal.received
            terminal.watch(seconds)
            return (terminal.received - before) / (time.perf_counter() - begun)

    theirs = per_second(lambda: table(folder))
    ours = per_second(lambda: console(folder, 0))
    slow = per_second(lambda: console(folder, 0, RUNWATCH_LOW_BW="1"), SLOW_IDLE_S)
    note = f"DataTable, which shows no ages, {theirs:.0f}"
    return [
        Figure(name="bytes while idle", value=ours, unit="B/s", ceiling=1000, note=note),
        Figure(name="bytes while idle, --low-bw", value=slow, unit="B/s", ceiling=200),
    ]


def _ms(name: str, taken: list[float], ceiling: float, note: str) -> Figure:
    return Figure(
        name=f"{name}, p95",
        value=percentile(taken, 0.95) * 1e3,
        unit="ms",
        ceiling=ceiling,
        note=f"p50 {told_ms(taken, 0.5)}; {note}",
    )
