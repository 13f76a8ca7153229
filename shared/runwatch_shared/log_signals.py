"""What a running server or node does to its log when it is told so by a signal.

``SIGUSR1`` writes down what every task and thread is at; ``SIGRTMIN+22`` has debug lines written
from now on, ``SIGRTMIN+23`` those of the level that was configured, as systemd does. Nothing stops.
"""

import asyncio
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import Final

from runwatch_shared.logs import LogLevel, Tag, log, set_level

logger: Final = logging.getLogger(__name__)

MOST_TASKS: Final = 500
"""A server with many sockets has thousands that are alike; each is a line."""
MOST_FRAMES: Final = 30
DEBUG_OFFSET: Final = 22
USUAL_OFFSET: Final = 23


def obey_log_signals(loop: asyncio.AbstractEventLoop, *, level: LogLevel, tag: Tag) -> None:
    """Hear the signals from now on; on another thread than the main one nothing can be heard.

    Args:
        level: What was configured; call again when it is another.
        tag: Of the lines that are written.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop.add_signal_handler(signal.SIGUSR1, dump, tag)
    first = getattr(signal, "SIGRTMIN", None)
    if first is None:
        return  # macOS has none
    chosen: tuple[tuple[int, LogLevel], ...] = ((DEBUG_OFFSET, "debug"), (USUAL_OFFSET, level))
    for offset, wanted in chosen:
        loop.add_signal_handler(first + offset, _change, wanted, tag)


def dump(tag: Tag) -> None:
    """One line for each task and each thread: its name, and the calls it is in, outermost first.

    Files, lines and functions only: never what a variable holds.
    """
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    for task in tasks[:MOST_TASKS]:
        log(
            logger,
            logging.INFO,
            tag,
            "A task",
            event="dump",
            task=task.get_name(),
            stack=_of(_awaited(task.get_coro())),
        )
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    threads = sys._current_frames()
    for number, frame in threads.items():
        log(
            logger,
            logging.INFO,
            tag,
            "A thread",
            event="dump",
            task=names.get(number, str(number)),
            stack=_of(_frames(frame)),
        )
    log(
        logger,
        logging.INFO,
        tag,
        "That is what this process is at",
        event="dump",
        count=len(tasks) + len(threads),
    )


def _change(level: LogLevel, tag: Tag) -> None:
    set_level(level)
    log(
        logger,
        logging.WARNING,
        tag,
        "The log level was changed by a signal",
        event="level",
        to=level,
    )


def _awaited(waiting: object) -> list[FrameType]:
    """The frames of a coroutine and of what it awaits, inward; `Task.get_stack` has the first."""
    frames: list[FrameType] = []
    while len(frames) < MOST_FRAMES:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is None:
            break
        frames.append(frame)
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return frames


def _frames(frame: FrameType | None) -> list[FrameType]:
    frames: list[FrameType] = []
    while frame is not None and len(frames) < MOST_FRAMES:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _of(frames: Iterable[FrameType]) -> str:
    summary = traceback.StackSummary.extract(
        ((frame, frame.f_lineno) for frame in frames), lookup_lines=False
    )
    return " > ".join(
        f"{each.filename.rpartition('/')[2]}:{each.lineno} {each.name}" for each in summary
    )
