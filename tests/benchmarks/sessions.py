"""Found sessions: what five hundred transcripts at rest cost a node, how soon a new line is shown,
and how fast transcripts are read.

At rest: CPU and wake-ups of a node that watches them, beside one that watches nothing. Reading:
lines to numbered events, against decoding the same lines and nothing else.
"""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from runwatch_nodemanager.sessions.head import Head
from runwatch_nodemanager.sessions.positions import Told
from runwatch_nodemanager.sessions.reading import SessionReading
from tests.benchmarks.figures import Figure, compared
from tests.nodemanager.sessions.desk import spoken
from tests.processes import NodeProcess, ServerProcess, wait_until

FILES: Final = 500
WATCHED_S: Final = 20.0
LINES_SHOWN: Final = 15
LINES_READ: Final = 20_000
ROUNDS: Final = 5
TICKS_A_SECOND: Final = 100
SETTLED_S: Final = 3.0


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        return [*_at_rest(Path(folder), stack), *_reading(Path(folder))]


def _at_rest(folder: Path, stack: ExitStack) -> list[Figure]:
    home = folder / "home"
    for number in range(FILES):
        text = "".join(spoken(n, uuid=f"{number}-{n}") for n in range(20))
        _append(home, f"s{number}", text, project=number % 50)
    server = stack.enter_context(ServerProcess(folder / "data", "--no-tls"))
    watching = _node(server, home, stack, "watching", "--sessions")
    other = _node(server, home, stack, "other", "--no-sessions")
    # All of them are shown, and over at once; from then on nothing happens.
    wait_until(lambda: len(_ended(server)) == FILES, "the sessions", 120)
    time.sleep(SETTLED_S)
    before = [_cost(node) for node in (watching, other)]
    time.sleep(WATCHED_S)
    after = [_cost(node) for node in (watching, other)]
    (cpu_s, wakes), (other_cpu_s, other_wakes) = (
        tuple(late - early for late, early in zip(later, earlier, strict=True))
        for later, earlier in zip(after, before, strict=True)
    )
    shown_ms = median(_shown_ms(server, home, number) for number in range(LINES_SHOWN))
    minutes = WATCHED_S / 60
    beside = f"watching nothing: {other_cpu_s / WATCHED_S:.2%}, {other_wakes / minutes:.0f}"
    return [
        Figure(name=f"CPU at rest, {FILES} files", value=cpu_s / WATCHED_S * 100, unit="%",
               ceiling=max(1.0, 2 * other_cpu_s / WATCHED_S * 100), note=beside),
        Figure(name="wake-ups a minute at rest", value=wakes / minutes, unit="",
               ceiling=2 * other_wakes / minutes + 60, note="of the whole node"),
        Figure(name="line to commit", value=shown_ms, unit="ms", ceiling=1000.0),
    ]  # fmt: skip


def _reading(folder: Path) -> list[Figure]:
    path = folder / "read.jsonl"
    path.write_text("".join(spoken(n, role="assistant") for n in range(LINES_READ)))
    speed = compared(ROUNDS, lambda: _lines_per_s(lambda: _read(path)),
                     lambda: _lines_per_s(lambda: _decode(path)))  # fmt: skip
    note = f"{speed.ours:,.0f} lines/s, decoding alone {speed.theirs:,.0f}"
    return [Figure(name="lines to events / decoding alone", value=speed.ratio, note=note)]


def _lines_per_s(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return LINES_READ / (time.perf_counter() - begun)


def _read(path: Path) -> None:
    reading = SessionReading("claude-code", node_id="n", first_bytes=0, finish=lambda p: p)
    told, count = Told(), 0
    while True:
        filled = reading.fill(told, Head(), {str(path): ""}, new_run=not told.opened)
        told = filled.after
        told.next_seq += len(filled.moved)
        count += len(filled.moved)
        if not filled.progressed:
            assert count == LINES_READ + 2
            return


def _decode(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            msgspec.json.decode(line)


def _append(home: Path, session: str, text: str, *, project: int = 0) -> None:
    path = home / ".claude" / "projects" / f"p{project}" / f"{session}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def _node(
    server: ServerProcess, home: Path, stack: ExitStack, node_id: str, flag: str
) -> NodeProcess:
    node = NodeProcess(server, flag, node_id=node_id)
    node.command[node.command.index("--server") + 1] = server.url
    node.environment |= {
        "HOME": str(home),
        "RUNWATCH_SESSION_IDLE_S": "0",
        "RUNWATCH_SESSIONS_MOST": str(FILES),
    }
    stack.enter_context(node)
    return node


def _ended(server: ServerProcess) -> list[object]:
    found: list[object] = server.get(
        "/api/v1/monitor/workflows?label=source:session&state=completed,failed&limit=1000"
    )["workflows"]
    return found


def _cost(node: NodeProcess) -> tuple[float, int]:
    """Seconds of CPU and wake-ups of a process so far."""
    stat = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    wakes = 0
    for task in Path(f"/proc/{node.pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                wakes += int(line.split()[1])
    return (int(stat[11]) + int(stat[12])) / TICKS_A_SECOND, wakes


def _shown_ms(server: ServerProcess, home: Path, number: int) -> float:
    """From the writing of a line in a new session until the server has committed it."""
    session = f"fresh{number}"
    written = time.time()
    _append(home, session, spoken(number, uuid=session).replace("message ", f"{session} "))
    wanted = f"demo: {session} {number}"  # its first prompt

    def found() -> str | None:
        rows = server.get("/api/v1/monitor/workflows?label=source:session&limit=1000")["workflows"]
        return next((row["id"] for row in rows if row["name"] == wanted), None)

    run_id = wait_until(found, wanted, 20)
    events = wait_until(lambda: server.events(run_id), "its events", 20)
    received = datetime.fromisoformat(events[0]["received_at"])
    return (received.timestamp() - written) * 1000
