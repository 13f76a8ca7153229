"""A recording of a day of a made-up fleet, made by the demo's generator in minutes."""

from datetime import UTC, datetime
from pathlib import Path

from runwatch_console.demo.server import DemoServer
from runwatch_console.demo.wish import Wish
from runwatch_console.recording.format import ConnectedLine, EventsRecord, FrameLine, RunLine
from runwatch_console.recording.writer import RecordingWriter
from runwatch_shared.wire import SubscribeFrame

STEP_S = 5
STATS_EVERY_S = 60
BATCH = 20
"""Events of a run that make a line; what is left of one that ended makes its last."""


class SteppedClock:
    """Stands until it is moved."""

    def __init__(self, now_us: int) -> None:
        self.at_us = now_us

    def now_us(self) -> int:
        return self.at_us

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_us / 1e6, UTC)

    def monotonic(self) -> float:
        return self.at_us / 1e6


def make_recording(path: Path, *, runs: int, events: int, hours: float) -> tuple[int, int, int]:
    """Record so many events of a fleet of so many runs, in about so many hours of its own; gives
    events, lines and seconds.
    """
    seconds = round(hours * 3600)
    clock = SteppedClock(1_795_000_000 * 1_000_000)
    wish = Wish(seed=1, runs=runs, changes_per_s=events / seconds)
    server = DemoServer(wish, clock=clock)
    plain = SubscribeFrame(id=1, topics=["workflows", "nodes"], limit=runs + 1)
    whole = SubscribeFrame(id=1, topics=["workflows", "nodes", "stats"], limit=runs + 1)
    writer = RecordingWriter(path, console="benchmark", context="demo")
    world = server.world
    before, revision, known = world.events, world.revision, server.known()
    writer.feed(ConnectedLine(at_s=0.0, hello=server.hello()))
    for frame in server.snapshot(whole):
        writer.feed(FrameLine(at_s=0.0, frame=frame))
    written = {run.id: run.last_seq for run in world.runs.values()}
    at_s = 0
    while world.events - before < events:
        at_s += STEP_S
        clock.at_us += STEP_S * 1_000_000
        server.advance()
        changed = world.changed_since(revision)
        change = server.change(revision, whole if at_s % STATS_EVERY_S == 0 else plain, known)
        if change is not None:
            revision = change.revision
            writer.feed(FrameLine(at_s=float(at_s), frame=change))
        for run in changed:
            told = written.get(run.id, 0)
            if run.last_seq - told >= BATCH or (run.ended and run.last_seq > told):
                fresh = list(run.rising(told))
                written[run.id] = run.last_seq
                record = EventsRecord(events=fresh)
                writer.run(RunLine(at_s=float(at_s), run_id=run.id, record=record))
    writer.close()
    return world.events - before, writer.lines, at_s
