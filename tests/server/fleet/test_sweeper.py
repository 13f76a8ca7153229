"""The sweeper's task: its amnesty, its limit a transaction, and old rows."""

import asyncio
from collections.abc import Callable

import msgspec

from runwatch_server import transitions
from runwatch_server.rows import EventRow
from runwatch_server.sweeper import MOST_DUE, MOST_REMOVED, Sweeper, look_again
from runwatch_shared.errors import StorageFullError
from runwatch_shared.settings import HealthThresholds, Retention, ServerSettings
from runwatch_shared.tasks import TaskOwner
from tests.server.fleet.pier import Pier


def made(
    pier: Pier, *, every_s: float = 1.0, on_removed: Callable[[int], None] = lambda events: None
) -> Sweeper:
    return Sweeper(
        writer=pier.loop,
        clock=pier.clock,
        settings=pier.settings,
        fleet=lambda: pier.read(lambda tx: tx.nodes.all()),
        on_removed=on_removed,
        every_s=every_s,
    )


async def test_nothing_expires_for_one_ttl_after_the_start(pier: Pier) -> None:
    pier.beat()
    run = pier.running()
    pier.wait(3600)
    sweeper = made(pier)
    await sweeper.sweep()
    pier.wait(44)
    await sweeper.sweep()
    assert sweeper.amnesty
    assert (pier.run(run.id).node_silent, pier.node_row().status) == (False, "online")
    pier.wait(1)
    await sweeper.sweep()
    assert (pier.run(run.id).node_silent, pier.node_row().status) == (True, "offline")


async def test_a_thousand_nodes_survive_a_restart_without_one_being_called_offline(
    pier: Pier,
) -> None:
    for index in range(1000):
        pier.online_node(f"n{index:04}")
    pier.wait(120)
    sweeper = made(pier)
    for index in range(1000):
        if index % 250 == 0:
            await sweeper.sweep()
            pier.wait(10)
        pier.online_node(f"n{index:04}")
    for _ in range(5):
        await sweeper.sweep()
        pier.wait(1)
    statuses = {row.status for row in pier.read(lambda tx: tx.nodes.all())}
    assert statuses == {"online"}


async def test_a_clock_that_jumps_is_held_against_nobody(pier: Pier) -> None:
    sweeper = made(pier)
    pier.wait(60)
    await sweeper.sweep()
    assert not sweeper.amnesty
    pier.beat()
    run = pier.running()
    pier.jump(7200)
    await sweeper.sweep()
    assert sweeper.amnesty
    assert (pier.run(run.id).node_silent, pier.node_row().status) == (False, "online")
    pier.beat(runs=[run])
    pier.wait(45)
    await sweeper.sweep()
    assert not sweeper.amnesty


async def test_what_is_due_beyond_one_transaction_is_done_in_the_next(pier: Pier) -> None:
    pier.beat(slots=MOST_DUE * 2)
    count = MOST_DUE + 10
    for _ in range(count):
        pier.queued_run()
    sweeper = made(pier)
    pier.wait(50)
    await sweeper.sweep()
    pier.wait(600)
    swept = await sweeper.sweep()
    assert (swept.runs, swept.more) == (count, False)


async def test_a_full_disk_delays_the_sweep_only(pier: Pier) -> None:
    sweeper = made(pier, every_s=0.001)
    pier.wait(60)
    pier.beat()
    pier.assigned()
    pier.wait(40)
    pier.failures += [StorageFullError("full")]
    async with TaskOwner("test") as owner, asyncio.timeout(5):
        sweeper.start(owner)
        while pier.node_row().lapsed_us == 0:
            await asyncio.sleep(0.005)
    assert pier.failures == []


async def test_old_tombstones_go_with_the_sweep(pier: Pier) -> None:
    pier.beat()
    pier.delete_node()
    sweeper = made(pier)
    await sweeper.sweep()
    assert pier.read(lambda tx: tx.nodes.deleted_process("n1")) == "n1-p1"
    pier.wait(86_400 + 61)
    await sweeper.sweep()
    assert pier.read(lambda tx: tx.nodes.deleted_process("n1")) is None


class Brief(Pier):
    SETTINGS = ServerSettings(retention=Retention(events_max_per_run=1000))


async def test_a_run_under_way_keeps_its_newest_events_where_a_number_is_set() -> None:
    pier = Brief()
    pier.beat()
    run = pier.running()
    for _ in range(3):
        pier.append(run, *["message"] * 900, epoch=1)
    removed: list[int] = []
    sweeper = made(pier, on_removed=removed.append)
    await sweeper.sweep()
    assert sum(removed) == 1701
    assert max(removed) <= MOST_REMOVED
    row = pier.run(run.id)
    assert (row.first_seq, row.last_seq, row.event_count) == (1702, 2701, 2701)
    assert [event.seq for event in pier.events(run.id)] == list(range(1702, 2702))
    await sweeper.sweep()
    assert pier.run(run.id) == row
    pier.store.close()


async def test_thresholds_that_are_new_count_for_runs_under_way(pier: Pier) -> None:
    """They were changed while the server was down; the moments of the old ones are in the store."""
    pier.beat()
    run = pier.queued_run()
    pier.place()
    pier.claim(run)
    pier.append(run, "thinking", epoch=1)
    usual = pier.settings
    await made(pier).sweep()
    pier.wait(20)
    pier.settings = msgspec.structs.replace(usual, health=HealthThresholds(stalled_s=10))
    await made(pier).sweep()
    stalled = pier.run(run.id)
    assert stalled.health == "stalled"
    pier.settings = usual
    await made(pier).sweep()
    assert pier.run(run.id).health == "ok"
    assert not pier.write(lambda tx: look_again(tx, usual))


async def test_a_flag_whose_moment_has_moved_is_not_due_for_ever(pier: Pier) -> None:
    """Events come late from a node's disk: the silence began later than was known, and lasts."""
    pier.beat()
    run = pier.queued_run()
    pier.place()
    pier.claim(run)
    pier.append(run, "thinking", epoch=1)
    sent_us = pier.now_us + 200_000_000
    pier.wait(301)
    await made(pier).sweep()
    pier.wait(600)
    row = pier.run(run.id)
    late = EventRow(
        seq=row.last_seq + 1,
        epoch=1,
        type="thinking",
        at_us=sent_us,
        received_us=pier.now_us,
        level="info",
        payload=None,
        raw=None,
    )
    pier.write(lambda tx: transitions.append_folded(tx, row, row, [late], settings=pier.settings))
    later = pier.run(run.id)
    assert (later.health, later.health_since_us) == ("stalled", row.health_since_us)
    assert pier.write(lambda tx: tx.runs.due(pier.now_us, limit=9)) == []
