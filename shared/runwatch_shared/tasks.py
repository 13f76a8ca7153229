"""Tasks with a name and an owner, and the bounded end of both; nothing here knows what they do."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")

STOP_S: Final = 5.0
"""How long a cancelled task may take to clean up before it is left behind, and named."""


class TaskOwner:
    """Keeps the tasks that were started for one thing, and ends them with it.

    ``async with TaskOwner("feed") as owner:`` stops what is left when the block ends.
    """

    def __init__(self, name: str, *, stop_s: float = STOP_S) -> None:
        self.name = name
        self.tasks: set[asyncio.Task[Any]] = set()
        self._stop_s = stop_s

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Starts a task of this owner; see `spawn`."""
        return spawn(coroutine, name=name, owner=self)

    async def stop(self) -> tuple[str, ...]:
        """Cancels the tasks, waits bounded, and gives the names of those that would not end."""
        return await cancel_and_wait(self.tasks, timeout_s=self._stop_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


def spawn(
    coroutine: Coroutine[Any, Any, T],
    *,
    name: str,
    owner: set[asyncio.Task[Any]] | TaskOwner,
) -> asyncio.Task[T]:
    """Starts a named task which its owner keeps until it ends, and logs what it raises.

    The event loop itself keeps only weak references: a task nobody holds may vanish half done.
    """
    tasks = owner.tasks if isinstance(owner, TaskOwner) else owner
    task = asyncio.create_task(coroutine, name=name)  # noqa: TID251 - the one place
    tasks.add(task)

    def ended(done: asyncio.Task[T]) -> None:
        tasks.discard(done)
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            logger.error("Could not finish task %s", done.get_name(), exc_info=error)

    task.add_done_callback(ended)
    return task


async def cancel_and_wait(
    tasks: set[asyncio.Task[Any]], *, timeout_s: float = STOP_S
) -> tuple[str, ...]:
    """Cancels tasks and waits for them, at most ``timeout_s`` seconds for all together.

    Gives the names of tasks that were still running then, sorted; they are logged too. The task
    that calls is left out. What a task raises while it ends is logged by `spawn`, not raised here.
    """
    ending = {task for task in tasks if task is not asyncio.current_task()}
    for task in ending:
        task.cancel()
    if not ending:
        return ()
    _, left = await asyncio.wait(ending, timeout=timeout_s)
    names = tuple(sorted(task.get_name() for task in left))
    if names:
        logger.warning("Tasks did not end in time: %s", ", ".join(names))
    return names
