"""The console on a real terminal, beside a bare Textual app in the same run (console.md, figures).

A key until the first byte that shows the cursor elsewhere; a start until the first frame; an event
posted over HTTPS until the first byte of it on the screen. What Python compiles is compiled first.
"""

import http.client
import random
import re
import sys
import sysconfig
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.benchmarks._held_runs import HeldRuns
from tests.benchmarks._reporters import request
from tests.benchmarks._terminal import Terminal, compile_modules, compiled_environment
from tests.benchmarks.figures import Figure, interleaved, percentile
from tests.processes import BIN, clean_environment

ROOT: Final = Path(__file__).parents[2]
ROWS: Final = 5000
CHANGES_PER_S: Final = 50
FIRST_LINE: Final = 3
"""Where the first row of the table stands."""
WALK: Final = 20
"""Rows the cursor goes down before it comes up again."""
KEY_ROUNDS: Final = 5
STARTS: Final = 9
POSTS: Final = 150
SETTLED_S: Final = 1.0
PAUSE_S: Final = (0.04, 0.09)
"""Between two keys, evenly spread, so that they fall anywhere between two frames."""
POST_PAUSE_S: Final = (0.05, 0.25)
WARM_POSTS: Final = 5


def main() -> list[Figure]:
    """All three."""
    compile_all()
    with tempfile.TemporaryDirectory() as folder:
        return [*keys(Path(folder)), starts(Path(folder)), posted(Path(folder) / "server")]


def compile_all() -> None:
    """Compile Textual, the console and what drives it."""
    compile_modules(
        Path(sysconfig.get_paths()["purelib"]), ROOT / "shared", ROOT / "console", ROOT / "tests"
    )


def keys(folder: Path) -> list[Figure]:
    """A key until its paint, with changes and without, in turns within one console."""
    chance = random.Random(1)
    idle: list[float] = []
    live: list[float] = []
    changes: list[float] = []
    with scripted_console(folder, ROWS) as terminal:
        terminal.wait_for(re.compile(rb" live"))
        terminal.press("2")
        terminal.wait_for(re.compile(rb"load-4999"))
        terminal.watch(SETTLED_S)
        for _ in range(KEY_ROUNDS):
            idle += walk(terminal, chance)
            terminal.turn()
            terminal.press("")
            first = newest_change(terminal, SETTLED_S)
            begun = time.perf_counter()
            live += walk(terminal, chance)
            changes.append(
                (newest_change(terminal, SETTLED_S) - first) / (time.perf_counter() - begun)
            )
            terminal.turn()
            terminal.watch(SETTLED_S)
    note = (
        f"{len(live)} keys, p50 {told_ms(live, 0.5)}, p99 {told_ms(live, 0.99)},"
        f" at {min(changes):.0f} changes/s or more"
    )
    return [
        Figure(
            name=f"key to paint, p95, {ROWS:,} rows, {CHANGES_PER_S} changes/s",
            value=percentile(live, 0.95) * 1e3,
            unit="ms",
            ceiling=25,
            note=note,
        ),
        Figure(
            name="key to paint, p95, with changes against without",
            value=percentile(live, 0.95) / percentile(idle, 0.95),
            ceiling=1.5,
            note=f"without: p50 {told_ms(idle, 0.5)}, p95 {told_ms(idle, 0.95)}",
        ),
    ]


def walk(terminal: Terminal, chance: random.Random) -> list[float]:
    """Seconds of each key on a way down and up again."""
    taken = []
    for key, lines in (
        ("j", range(FIRST_LINE + 1, FIRST_LINE + WALK + 1)),
        ("k", range(FIRST_LINE + WALK - 1, FIRST_LINE - 1, -1)),
    ):
        for line in lines:
            terminal.watch(chance.uniform(*PAUSE_S))
            # The sign of the cursor, in the first column of the line it comes to.
            painted = re.compile(rb"\x1b\[%d;1H\x1b\[[\d;]*m>" % line)
            begun = terminal.press(key)
            taken.append(terminal.wait_for(painted) - begun)
    return taken


def newest_change(terminal: Terminal, seconds: float) -> int:
    """The number of the newest change on the screen."""
    terminal.watch(seconds)
    return max(int(number) for number in re.findall(rb"part_(\d+)", terminal.seen))


def starts(folder: Path) -> Figure:
    """A start until the first frame: the whole console's against that of a bare app."""
    # Settings, context, log file and locale are read as in any start; only the network is scripted.
    # The first useful frame: the top line, the key line and the words in the middle are one write.
    frame = re.compile(rb"connecting\x1b.*connecting to https://.* help ", re.DOTALL)

    def console() -> float:
        with scripted_console(folder, 100) as terminal:
            return terminal.wait_for(frame) - terminal.begun_s

    def bare() -> float:
        command = [sys.executable, "-m", "tests.benchmarks._bare_app"]
        with Terminal(command, environment(folder), ROOT) as terminal:
            return terminal.wait_for(re.compile(rb"bare and ready")) - terminal.begun_s

    ours, theirs = interleaved(STARTS, console, bare)
    return Figure(
        name="first frame, against a bare Textual app",
        value=ours / theirs,
        ceiling=1.3,
        note=f"{ours * 1e3:.0f} against {theirs * 1e3:.0f} ms, medians of {STARTS}",
    )


def posted(folder: Path) -> Figure:
    """An event's POST until it is on the screen, by the real server and the real console."""
    held = HeldRuns(folder)
    try:
        run_id = held.run(held.task())
        environment_ = compiled_environment(clean_environment(folder))
        with Terminal([str(BIN / "monitor-tui")], environment_, ROOT) as terminal:
            terminal.wait_for(re.compile(rb"\xe2\x97\x8f live"))
            terminal.press(":")
            terminal.watch(SETTLED_S)
            terminal.press(f"run {run_id}\r")
            terminal.watch(SETTLED_S)
            taken = posts(held, run_id, terminal)
    finally:
        held.server.stop()
    return Figure(
        name="event posted until on the screen, p95",
        value=percentile(taken, 0.95) * 1e3,
        unit="ms",
        ceiling=150,
        note=f"{len(taken)} events, p50 {told_ms(taken, 0.5)}, p99 {told_ms(taken, 0.99)}",
    )


def posts(held: HeldRuns, run_id: str, terminal: Terminal) -> list[float]:
    """Seconds of each event, one after the other, over one connection that stays open."""
    chance = random.Random(2)
    taken = []
    connection = http.client.HTTPSConnection(
        "127.0.0.1", held.server.port, context=held.server.tls(), timeout=10
    )
    with closing(connection):
        for seq in range(1, WARM_POSTS + POSTS + 1):
            terminal.watch(chance.uniform(*POST_PAUSE_S))
            begun = terminal.press("")
            report(connection, held.node_token, run_id, seq)
            seen = terminal.wait_for(re.compile(rb"%07d " % seq))
            if seq > WARM_POSTS:
                taken.append(seen - begun)
    return taken


def report(connection: http.client.HTTPSConnection, token: str, run_id: str, seq: int) -> None:
    """Post one event; its text begins with its seq."""
    body = request("", token, run_id, seq, 1).partition(b"\r\n\r\n")[2]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", f"/api/v1/runs/{run_id}/events", body, headers)
    with connection.getresponse() as answer:
        text = answer.read()
    assert answer.status == 201, text


def scripted_console(folder: Path, rows: int) -> Terminal:
    """The console with a scripted network."""
    command = [sys.executable, "-m", "tests.benchmarks._scripted_console"]
    return Terminal([*command, str(rows), str(CHANGES_PER_S)], environment(folder), ROOT)


def environment(folder: Path) -> dict[str, str]:
    """That of a fresh user with compiled modules."""
    return compiled_environment(clean_environment(folder))


def told_ms(values: list[float], share: float) -> str:
    """A percentile for people."""
    return f"{percentile(values, share) * 1e3:.1f} ms"
