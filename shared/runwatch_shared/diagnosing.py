"""What a program says of itself when asked by a signal: its tasks, its threads' stacks."""

import asyncio
import faulthandler
import logging
import signal
import sys
from typing import Any, Final

logger: Final = logging.getLogger(__name__)

MOST_TASKS: Final = 200


def dump_on_quit() -> None:
    """SIGQUIT writes the stacks of all threads to standard error, also while the loop is stuck."""
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGQUIT, file=sys.__stderr__)


def tell_on_usr1() -> None:
    """SIGUSR1 logs each task of the running loop and the line it waits at."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_tasks)


def tell_tasks() -> None:
    """A record a task, by name; of very many the first."""
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    logger.warning("%d tasks are under way", len(tasks))
    for task in tasks[:MOST_TASKS]:
        logger.warning("Task %s waits at %s", task.get_name(), _place(task))


def _place(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return "its end"
    code = frames[0].f_code
    return f"{code.co_qualname} line {frames[0].f_lineno}"
