"""`record`: keeps the feed in a file until it is told to end."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from runwatch_console.formats import format_duration
from runwatch_console.headless.exits import CommandError, ExitCode, usage_error
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.session import ClosableApi, LiveFeed, Session
from runwatch_console.headless.watching import bear_loss, say_back
from runwatch_console.ports import Connected, Connection, Disconnected, FeedItem, RunItem
from runwatch_console.recording.recorder import Recorder
from runwatch_console.recording.writer import RecordingWriter
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.wire import SubscribeFrame

RECORDED_ROWS: Final = 5000
ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be recorded, and how."""

    path: Path
    run_ids: Sequence[str] = ()
    with_events: bool = False
    max_bytes: int | None = None
    keep: int = 4
    duration_s: float | None = None


class _Feed:
    """The feed of a command, which nobody can tell to hurry."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed

    def frames(self) -> AsyncGenerator[FeedItem, None]:
        return self._feed.frames()

    def retry_now(self) -> None:
        pass


class _RunEvents:
    """Sockets of runs; which history they belong to is known only when the first is opened."""

    def __init__(self, session: Session, writer: RecordingWriter) -> None:
        self._session = session
        self._writer = writer

    def follow(self, run_id: str, from_seq: int | None) -> AsyncGenerator[RunItem, None]:
        return self._session.network.run_events(self._writer.store).follow(run_id, from_seq)


async def record_feed(session: Session, api: ClosableApi, wanted: Wanted) -> ExitCode:
    """Record until a signal, the time is over, or nobody answers at all.

    Raises:
        CommandError: The file cannot be written, or the server was never reached.
    """
    try:
        writer = RecordingWriter(
            wanted.path,
            console=version("runwatch"),
            context=session.target.context,
            max_bytes=wanted.max_bytes,
            keep=wanted.keep,
        )
    except FileExistsError as error:
        raise usage_error(session.words, "record.exists", file=wanted.path) from error
    except OSError as error:
        raise _unwritable(session, wanted, error) from error
    began_s = time.monotonic()
    session.printer.say(session.words("record.begun", file=wanted.path))
    try:
        try:
            await _until_told(session, api, writer, wanted)
        finally:
            writer.close()
            if not writer.store:
                wanted.path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(session, wanted, error) from error
    if not writer.store:
        session.printer.say(session.words("record.none"))
        return ExitCode.UNREACHABLE
    took = format_duration(time.monotonic() - began_s)
    facts = {"time": took, "lines": f"{writer.lines:,}", "file": wanted.path}
    session.printer.say(session.words("record.done", **facts))
    return ExitCode.DONE


async def _until_told(
    session: Session, api: ClosableApi, writer: RecordingWriter, wanted: Wanted
) -> None:
    connection = Connection(
        feed=_Feed(session.network.feed(_subscription())),
        run_events=_RunEvents(session, writer),
        api=api,
    )
    recorder = Recorder(writer, connection, run_ids=wanted.run_ids, with_events=wanted.with_events)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Another thread is told no signals; whoever runs a command there ends it otherwise.
    ends = ENDS if threading.current_thread() is threading.main_thread() else ()
    for end in ends:
        loop.add_signal_handler(end, told.set)
    try:
        async with TaskOwner("record") as owner:
            reading = owner.spawn(_read(session, recorder), name="record feed")
            waiting = owner.spawn(told.wait(), name="record end")
            await asyncio.wait(
                {reading, waiting},
                timeout=wanted.duration_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if reading.done():
                reading.result()
    finally:
        for end in ends:
            loop.remove_signal_handler(end)


async def _read(session: Session, recorder: Recorder) -> None:
    patience = Patience()
    async with aclosing(recorder.items()) as items:
        async for item in items:
            if isinstance(item, Connected):
                say_back(session, patience)
            elif isinstance(item, Disconnected):
                bear_loss(session, patience, item)


def _subscription() -> SubscribeFrame:
    return SubscribeFrame(
        id=1,
        topics=["workflows", "nodes", "accounts", "stats"],
        sort="-attention",
        limit=RECORDED_ROWS,
    )


def _unwritable(session: Session, wanted: Wanted, error: OSError) -> CommandError:
    text = session.words("record.unwritable", file=wanted.path, error=error.strerror or error)
    return CommandError(ExitCode.FAILED, text)
