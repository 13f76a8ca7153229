"""A node that waits for its runs: what ends a wait, and that nothing is missed (contract 11.2)."""

import asyncio

import pytest

from runwatch_server.doorbells import MOST_LOST, Doorbells
from runwatch_server.polls import Polled, poll_runs
from runwatch_shared.errors import RefusedError
from runwatch_shared.tasks import TaskOwner
from tests.server.fleet.pier import Pier


class Door:
    """Polls of nodes over one set of bells."""

    def __init__(self, pier: Pier) -> None:
        self.pier = pier
        self.bells = Doorbells()
        pier.listeners.append(self.bells.on_commit)

    async def poll(
        self, node_id: str = "n1", *, wait_s: float = 30, statuses: tuple[str, ...] = ("assigned",)
    ) -> Polled:
        return await poll_runs(
            node_id,
            statuses=statuses,
            wait_s=wait_s,
            reader=self.pier.loop,
            writer=self.pier.loop,
            doorbells=self.bells,
            clock=self.pier.clock,
            settings=self.pier.settings,
        )

    async def at_once(self, **poll: object) -> Polled:
        """A poll that is answered without anything happening; fails if it waits."""
        async with asyncio.timeout(5):
            return await self.poll(**poll)  # type: ignore[arg-type]  # passed through

    async def waits(self, owner: TaskOwner, **poll: object) -> "asyncio.Task[Polled]":
        """A poll under way that found nothing."""
        task = owner.spawn(self.poll(**poll), name="poll")  # type: ignore[arg-type]  # passed
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        return task


async def answered(task: "asyncio.Task[Polled]") -> Polled:
    async with asyncio.timeout(5):
        return await task


@pytest.fixture
def door(pier: Pier) -> Door:
    pier.beat()
    return Door(pier)


async def test_what_is_assigned_and_unclaimed_is_given_at_once(door: Door) -> None:
    run = door.pier.assigned()
    polled = await door.at_once()
    ((row, spec, lease),) = polled.runs
    assert (row.id, spec.prompt, lease) == (run.id, "do it", None)


async def test_a_claimed_run_does_not_end_a_wait(door: Door) -> None:
    run = door.pier.held()
    async with TaskOwner("test") as owner:
        task = await door.waits(owner)
        given = door.pier.assigned()
        polled = await answered(task)
    assert {row.id for row, _, _ in polled.runs} == {run.id, given.id}


async def test_without_waiting_the_answer_comes_with_nothing_in_it(door: Door) -> None:
    polled = await door.at_once(wait_s=0, statuses=("assigned", "running"))
    assert polled.runs == []
    assert polled.directives.lost_runs == []


async def test_ended_runs_are_listed_where_their_status_is_asked_for(door: Door) -> None:
    run = door.pier.running()
    door.pier.end(run)
    polled = await door.at_once(wait_s=0, statuses=("done",))
    assert [row.id for row, _, _ in polled.runs] == [run.id]


async def test_a_cancel_ends_one_wait_and_is_delivered_by_it(door: Door) -> None:
    run = door.pier.running()
    async with TaskOwner("test") as owner:
        task = await door.waits(owner)
        door.pier.cancel(run)
        polled = await answered(task)
        assert polled.directives.cancel_reasons == {run.id: "user"}
        cancel = door.pier.run(run.id).cancel
        assert cancel is not None
        assert cancel.delivered_us == door.pier.now_us
        await door.waits(owner)


async def test_a_cancel_between_two_polls_ends_the_second(door: Door) -> None:
    run = door.pier.running()
    await door.at_once(wait_s=0)
    door.pier.cancel(run)
    assert (await door.at_once()).directives.cancel_runs == [run.id]


async def test_a_cancel_that_an_event_answer_told_still_ends_one_wait(door: Door) -> None:
    """Each directive ends one wait (contract 11.2): the event answer may have been lost."""
    run, later = door.pier.running(), door.pier.running()
    door.pier.cancel(run)
    door.pier.append(run, "message", epoch=1)
    cancel = door.pier.run(run.id).cancel
    assert cancel is not None
    assert cancel.delivered_us is not None
    # The first wait of this node here: whatever there is has ended none.
    assert (await door.at_once()).directives.cancel_runs == [run.id]
    door.pier.cancel(later)
    door.pier.append(later, "message", epoch=1)
    assert set((await door.at_once()).directives.cancel_runs) == {run.id, later.id}
    async with TaskOwner("test") as owner:
        await door.waits(owner)


async def test_a_run_lost_between_two_polls_is_told_by_the_second_only(door: Door) -> None:
    run = door.pier.running(retry_on_lost=True)
    with door.bells.listen("n1") as bell:
        bell.take()
    door.pier.later(45, "n1")
    door.pier.later(15, "n1")
    assert (await door.at_once()).directives.lost_runs == [run.id]
    async with TaskOwner("test") as owner:
        await door.waits(owner)


async def test_a_deleted_run_is_lost_to_its_node(door: Door) -> None:
    run = door.pier.running()
    async with TaskOwner("test") as owner:
        task = await door.waits(owner)
        door.pier.write(lambda tx: tx.runs.delete(door.pier.run(run.id)))
        assert (await answered(task)).directives.lost_runs == [run.id]


async def test_a_run_that_ends_or_is_taken_over_by_a_restart_is_not_lost(door: Door) -> None:
    ended, restarted = door.pier.running(), door.pier.running()
    async with TaskOwner("test") as owner:
        task = await door.waits(owner)
        door.pier.end(ended)
        door.pier.claim(restarted, process="n1-p2", epoch=1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()


async def test_a_drain_ends_a_wait_and_another_node_is_left_in_peace(door: Door) -> None:
    door.pier.beat("n2")
    async with TaskOwner("test") as owner:
        mine = await door.waits(owner)
        other = await door.waits(owner, node_id="n2")
        door.pier.drain("n1")
        assert (await answered(mine)).directives.drain is True
        assert not other.done()


async def test_stopping_ends_every_wait_and_those_that_come_later(door: Door) -> None:
    async with TaskOwner("test") as owner:
        tasks = [await door.waits(owner) for _ in range(2)]
        door.bells.ring_all()
        for task in tasks:
            assert (await answered(task)).runs == []
        assert (await door.at_once()).runs == []


async def test_a_wait_ends_with_its_time(door: Door) -> None:
    async with asyncio.timeout(5):
        task_done = await door.poll(wait_s=0.01)
    assert task_done.runs == []


async def test_an_unknown_node_has_no_runs_and_a_deleted_one_is_not_found(door: Door) -> None:
    assert (await door.at_once(node_id="n9", wait_s=0)).runs == []
    door.pier.delete_node()
    with pytest.raises(RefusedError) as caught:
        await door.at_once(wait_s=0)
    assert caught.value.code == "not_found"


async def test_a_deletion_ends_the_wait_of_the_node(door: Door) -> None:
    async with TaskOwner("test") as owner:
        task = await door.waits(owner)
        door.pier.delete_node()
        with pytest.raises(RefusedError):
            await answered(task)


async def test_bells_of_a_node_that_never_asks_keep_nothing(door: Door) -> None:
    run = door.pier.running()
    door.pier.write(lambda tx: tx.runs.delete(door.pier.run(run.id)))
    assert door.bells.take("n1").any is False


async def test_lost_runs_are_kept_up_to_a_bound(door: Door) -> None:
    door.pier.beat(slots=2000)
    with door.bells.listen("n1") as bell:
        bell.take()
    runs = [door.pier.queued_run() for _ in range(MOST_LOST + 5)]
    while door.pier.place():
        pass
    for run in runs:
        door.pier.claim(run)
        door.pier.write(lambda tx, run=run: tx.runs.delete(tx.runs.get(run.id)))  # type: ignore[misc]
    assert len(door.bells.take("n1").lost_runs) == MOST_LOST
