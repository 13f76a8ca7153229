"""The scheduler's task: woken by commits, kept current by them, and alive after failures."""

import asyncio
from collections.abc import Callable

import pytest

from runwatch_server.doorbells import Doorbells
from runwatch_server.instances.rows import InstanceRow
from runwatch_server.scheduler import Scheduler
from runwatch_shared.errors import StoreUnavailableError
from runwatch_shared.instances import InstanceStatus
from runwatch_shared.models import Agent, AgentOffer, NodeId
from runwatch_shared.tasks import TaskOwner
from tests.server.fleet.pier import Pier


class Cycles:
    """A `SchedulerObserver` that counts."""

    def __init__(self) -> None:
        self.cycles = 0
        self.assigned = 0

    def cycle(self, seconds: float, assigned: int) -> None:
        self.cycles += 1
        self.assigned += assigned


def made(pier: Pier, cycles: Cycles | None = None) -> Scheduler:
    scheduler = Scheduler(
        writer=pier.loop,
        reader=pier.loop,
        clock=pier.clock,
        settings=pier.settings,
        observer=cycles,
    )
    pier.read(scheduler.load)
    pier.listeners.append(scheduler.on_commit)
    return scheduler


async def becomes(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, at most five seconds."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_run_queued_before_the_start_is_placed(pier: Pier) -> None:
    pier.beat()
    run = pier.queued_run()
    scheduler = made(pier)
    async with TaskOwner("test") as owner:
        scheduler.start(owner)
        await becomes(lambda: pier.run(run.id).status == "assigned")


async def test_it_wakes_when_a_run_is_queued_a_slot_is_freed_or_a_node_comes_or_changes(
    pier: Pier,
) -> None:
    scheduler = made(pier)
    async with TaskOwner("test") as owner:
        scheduler.start(owner)
        first = pier.queued_run(type="codex")
        pier.wait(1)
        second = pier.queued_run(type="codex")
        await becomes(lambda: pier.run(second.id).queue_reason == "no node known")
        pier.beat(slots=1, agents=["claude-code"])
        await becomes(
            lambda: pier.run(second.id).queue_reason == "no online node offers openai-codex"
        )
        pier.beat(slots=1, agents=["openai-codex"])
        await becomes(lambda: pier.run(first.id).status == "assigned")
        await becomes(lambda: pier.run(second.id).queue_reason == "n1 full (1/1)")
        pier.cancel(first)
        await becomes(lambda: pier.run(second.id).status == "assigned")
        third = pier.queued_run(type="codex")
        pier.beat(slots=2, agents=["openai-codex"])
        await becomes(lambda: pier.run(third.id).status == "assigned")
        pier.drain()
        await becomes(lambda: pier.run(third.id).queue_reason == "n1 draining")
        pier.resume()
        await becomes(lambda: pier.run(third.id).status == "assigned")


async def test_a_store_that_fails_delays_it_only(pier: Pier) -> None:
    pier.beat()
    scheduler = made(pier)
    pier.failures += [StoreUnavailableError("gone"), RuntimeError("a defect")]
    async with TaskOwner("test") as owner:
        scheduler.start(owner)
        run = pier.queued_run()
        await becomes(lambda: pier.run(run.id).status == "assigned")
    assert pier.failures == []


async def test_a_cycle_with_nothing_to_do_writes_nothing(pier: Pier) -> None:
    pier.beat(slots=0)
    pier.queued_run()
    cycles = Cycles()
    scheduler = made(pier, cycles)
    await scheduler.cycle()
    commits = len(pier.commits)
    for _ in range(3):
        pier.beat(slots=0)
        commits += 1
        assert await scheduler.cycle() == 0
    assert len(pier.commits) == commits
    assert (cycles.cycles, cycles.assigned) == (4, 0)


async def test_more_than_one_transaction_holds_is_done_in_several(pier: Pier) -> None:
    pier.beat(slots=1000)
    for _ in range(230):
        pier.queued_run()
    cycles = Cycles()
    scheduler = made(pier, cycles)
    assert await scheduler.cycle() == 230
    assert (cycles.cycles, cycles.assigned) == (2, 230)
    assert pier.node_row().allocated == 230


async def test_the_line_follows_every_way_a_run_leaves_the_queue(pier: Pier) -> None:
    scheduler = made(pier)
    cancelled, deleted, kept = pier.queued_run(), pier.queued_run(), pier.queued_run()
    await scheduler.cycle()
    pier.cancel(cancelled)
    pier.write(lambda tx: tx.runs.delete(pier.run(deleted.id)))
    pier.beat()
    assert await scheduler.cycle() == 1
    assert pier.run(kept.id).status == "assigned"


async def test_a_line_that_went_wrong_is_read_anew_and_does_not_spin(pier: Pier) -> None:
    pier.beat()
    run = pier.queued_run()
    scheduler = made(pier)
    pier.listeners.remove(scheduler.on_commit)
    pier.cancel(run)
    cycles = len(pier.commits)
    assert await scheduler.cycle() == 0
    assert len(pier.commits) <= cycles + 2
    pier.listeners.append(scheduler.on_commit)
    following = pier.queued_run()
    assert await scheduler.cycle() == 1
    assert pier.run(following.id).status == "assigned"


@pytest.mark.parametrize("waits", [True, False])
async def test_an_assignment_rings_the_bell_of_its_node(pier: Pier, waits: bool) -> None:
    bells = Doorbells()
    pier.listeners.append(bells.on_commit)
    scheduler = made(pier)
    pier.beat("n1" if waits else "n2")
    with bells.listen("n1") as bell:
        pier.queued_run()
        await scheduler.cycle()
        assert await bell.wait(0) is waits


async def test_it_wakes_when_an_instance_runs_and_knows_those_that_ran_before(
    pier: Pier,
) -> None:
    def instance(status: InstanceStatus) -> InstanceRow:
        return InstanceRow(
            id="agent-0123456789ab",
            name="ada",
            account_id="claude-code_ada",
            agent_type="claude-code",
            node_id=NodeId("n1"),
            status=status,
            created_us=1,
            updated_us=1,
        )

    pier.beat(slots=2, agents=[AgentOffer(type="claude-code", accounts=["claude-code_ada"])])
    pier.beat("n2", slots=9)
    pier.write(lambda tx: tx.kept(InstanceRow).save(instance("creating")))
    wanted = Agent(type="claude-code", instance_id="agent-0123456789ab")
    scheduler = made(pier)
    async with TaskOwner("test") as owner:
        scheduler.start(owner)
        run = pier.queued_run(agent=wanted)
        await becomes(
            lambda: pier.run(run.id).queue_reason == "instance agent-0123456789ab: creating"
        )
        pier.write(lambda tx: tx.kept(InstanceRow).save(instance("running")))
        await becomes(lambda: pier.run(run.id).node_id == "n1")
    again = made(pier)
    run = pier.queued_run(agent=wanted)
    assert await again.cycle() == 1
    assert pier.run(run.id).node_id == "n1"
    third = pier.queued_run(agent=wanted)
    await again.cycle()
    assert pier.run(third.id).queue_reason == "instance agent-0123456789ab: n1 full (2/2)"
