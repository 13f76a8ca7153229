"""Feeds that were never live: lists of lines for recordings, and random ones for properties."""

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from runwatch_console.ports import Connected, Connecting, Disconnected, Frame, LossReason
from runwatch_console.recording.format import FeedLine, RunLine, feed_line, run_record
from runwatch_console.recording.writer import RecordingWriter
from tests.console import records


def moment(at_s: float) -> str:
    """The server's clock so many seconds after the begin."""
    return (
        (records.NOW + timedelta(seconds=at_s))
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


def story(
    seconds: int = 120, *, runs: int = 20, seed: int = 1, loss_at: int = 60
) -> list[FeedLine]:
    """A fleet that changes every second, is lost at `loss_at` for three seconds and resumes."""
    chance = random.Random(seed)
    rows = [records.summary(f"run-{n:012d}") for n in range(runs)]
    lines: list[FeedLine] = [
        feed_line(Connecting(attempt=1), 0.0),
        feed_line(Connected(hello=records.hello(server_time=moment(0))), 0.0),
        feed_line(
            Frame(frame=records.snapshot(rows, records.fleet_nodes(), server_time=moment(0))), 0.1
        ),
    ]
    revision = 1
    for second in range(1, seconds):
        at_s = float(second)
        if second == loss_at:
            loss = Disconnected(reason=LossReason.CLOSED, detail="1013 try again", retry_in_s=3.0)
            lines.append(feed_line(loss, at_s))
        if loss_at <= second < loss_at + 3:
            continue
        if second == loss_at + 3:
            lines.append(feed_line(Connecting(attempt=1), at_s))
            hello = records.hello(resumed=True, server_time=moment(at_s))
            lines.append(feed_line(Connected(hello=hello), at_s))
        status = chance.choice(["running", "failed", "done", "queued"])
        row = records.summary(f"run-{chance.randrange(runs):012d}", status, revision=revision + 1)
        frame = records.change(
            [row], previous=revision, revision=revision + 1, server_time=moment(at_s)
        )
        revision += 1
        lines.append(feed_line(Frame(frame=frame), at_s))
    return lines


def record(
    path: Path, lines: Sequence[FeedLine | RunLine], *, close: bool = True
) -> RecordingWriter:
    """A recording of these lines."""
    writer = RecordingWriter(path, console="0.1.0", context="prod")
    for line in lines:
        if isinstance(line, RunLine):
            writer.run(line)
        else:
            writer.feed(line)
    if close:
        writer.close()
    else:
        # As one that was killed leaves it.
        writer.flush()
        writer._output._file.close()
    return writer


def run_line(at_s: float, run_id: str, item: object) -> RunLine:
    """A line of a followed run."""
    return RunLine(at_s=at_s, run_id=run_id, record=run_record(item))  # type: ignore[arg-type]
