"""Tasks are kept while they run, their errors are seen, and their end is bounded."""

import asyncio
import gc
import logging
from typing import Any

import pytest

from runwatch_shared.tasks import TaskOwner, cancel_and_wait, spawn


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise RuntimeError("broken part")


async def deaf(released: asyncio.Event) -> None:
    while not released.is_set():
        try:
            await released.wait()
        except asyncio.CancelledError:
            continue


async def test_a_task_is_kept_while_it_runs_and_let_go_when_it_ends() -> None:
    tasks: set[asyncio.Task[Any]] = set()
    go = asyncio.Event()
    ended = asyncio.Event()

    async def wait_for_go() -> None:
        await go.wait()
        ended.set()

    spawn(wait_for_go(), name="waits", owner=tasks)
    await asyncio.sleep(0)
    gc.collect()
    assert [task.get_name() for task in tasks] == ["waits"]
    go.set()
    await asyncio.wait_for(ended.wait(), 5)
    await asyncio.sleep(0)
    assert tasks == set()


async def test_what_a_task_returns_can_be_awaited() -> None:
    async def answer() -> int:
        return 42

    async with TaskOwner("test") as owner:
        assert await owner.spawn(answer(), name="answer") == 42


async def test_what_a_task_raises_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async with TaskOwner("test") as owner:
        task = owner.spawn(fail(), name="broken")
        await asyncio.wait({task}, timeout=5)
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Could not finish task broken"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], RuntimeError)


async def test_an_owner_ends_its_tasks_with_its_block(caplog: pytest.LogCaptureFixture) -> None:
    async with TaskOwner("test") as owner:
        task = owner.spawn(forever(), name="waits")
        await asyncio.sleep(0)
    assert task.cancelled()
    assert owner.tasks == set()
    assert caplog.records == []


async def test_a_task_that_will_not_end_is_left_behind_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = TaskOwner("test", stop_s=0.01)
    released = asyncio.Event()
    task = owner.spawn(deaf(released), name="deaf")
    await asyncio.sleep(0)
    assert await owner.stop() == ("deaf",)
    assert "deaf" in caplog.text
    released.set()
    await asyncio.wait_for(task, 5)


async def test_stopping_from_inside_a_task_does_not_wait_for_itself() -> None:
    owner = TaskOwner("test")

    async def stop_all() -> tuple[str, ...]:
        return await owner.stop()

    other = owner.spawn(forever(), name="other")
    assert await asyncio.wait_for(owner.spawn(stop_all(), name="stopper"), 5) == ()
    assert other.cancelled()


async def test_nothing_to_cancel_is_done_at_once() -> None:
    assert await cancel_and_wait(set()) == ()
