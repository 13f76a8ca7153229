"""Instances that are made, started, stopped, deleted and killed by chance, over real containers.

A node manager that is killed in the middle is a process of its own (`one_look`), so that what it
asked its engine for goes on without it.
"""

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.runtimes.container_body import instance_labels, instance_name
from tests.nodemanager.containers.keep import (
    ACCOUNT,
    ALL,
    DATABASES,
    Keep,
    long_only,
    open_keep,
    until,
)
from tests.nodemanager.containers.podman import IMAGE, Podman

pytestmark = pytest.mark.timeout(1200)

STEPS = int(os.environ.get("RUNWATCH_TEST_INSTANCE_STEPS", "5"))
KILLED_AFTER_S = (0.05, 0.1, 0.2, 0.3, 0.5) if ALL else (0.15,)
MOST = 4
"""Instances at one time."""
STRANGERS = ("strangers", "elsewhere")
AT_REST = {"running": "running", "stopped": "ended", "error": "ended"}


class Chance:
    """A fleet of one node, and what is done to it."""

    def __init__(self, keep: Keep, rng: random.Random) -> None:
        self.keep = keep
        self.rng = rng
        self.done: list[str] = []

    async def instances(self) -> list[Any]:
        found: list[Any] = (await self.keep.ask("GET", "/api/v1/agents"))["agents"]
        return found

    async def step(self) -> None:
        """One thing a person, a machine or a misfortune does; what is not possible is refused."""
        known = await self.instances()
        choices = ["start", "stop", "delete", "kill", "rm", "kill"]
        act = self.rng.choice(["make"] if not known else ["make", *choices])
        if act == "make" and len(known) >= MOST:
            act = "delete"
        one = self.rng.choice(known) if known else {"id": ""}
        self.done.append(f"{act} {one['id'][-4:]}")
        name = instance_name(one["id"])
        match act:
            case "make":
                await self.keep.make()
            case "start" | "stop":
                await self.keep.client.post(f"/api/v1/agents/{one['id']}/{act}")
            case "delete":
                await self.keep.ask("DELETE", f"/api/v1/agents/{one['id']}")
            case "kill" | "rm":
                if name in await asyncio.to_thread(self.keep.containers):
                    how = ["kill"] if act == "kill" else ["rm", "--force", "--time=0"]
                    await asyncio.to_thread(self._unless_refused, *how, name)

    async def killed_look(self, after_s: float | None = None) -> None:
        """A node manager that compares everything, and is killed in the middle of it."""
        settings = self.keep.settings()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("one_look.py")),
            settings.server,
            settings.data_dir,
            settings.containers.host,
            env={**os.environ, "RUNWATCH_NODE_TOKEN": self.keep.node_token},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"looking\n"
        await asyncio.sleep(self.rng.uniform(0.0, 0.6) if after_s is None else after_s)
        if process.returncode is None:
            process.kill()
        await process.wait()
        self.done.append("killed")

    async def compare(self) -> None:
        async with self.keep.keeper(orphan_grace_s=0.0) as keeper:
            await keeper.reconcile()

    async def check(self) -> None:
        """Every instance is as its status says, and there is no container of another."""
        everything = await asyncio.to_thread(self.keep.containers)
        seen = {name: state for name, state in everything.items() if name not in STRANGERS}
        known = await self.instances()
        said = {instance_name(row["id"]): row for row in known}
        history = (self.done, known, seen)
        assert set(seen) <= set(said), history
        for name, row in said.items():
            there = "running" if seen.get(name) == "running" else "ended"
            assert there == AT_REST[row["status"]], history
            assert row["status"] != "error" or row["error"], history
        deleted = (await self.keep.ask("GET", "/api/v1/nodes/n1/agents"))["deleted"]
        assert deleted == [], history

    def _unless_refused(self, *command: str) -> None:
        """A container may have ended meanwhile."""
        try:
            self.keep.engine.run(*command)
        except AssertionError:
            return


def leave_strangers(keep: Keep) -> set[str]:
    """Containers of another node and of another data directory, which nobody may touch."""
    mine = Path(keep.settings().data_dir) / "node" / "n1"
    for name, node_id, folder in (
        (STRANGERS[0], "n2", mine),
        (STRANGERS[1], "n1", mine.with_name("else")),
    ):
        labels = instance_labels(
            node_id, folder, instance_id="agent-00000000dead", account_id=ACCOUNT
        )
        flags = [f"--label={key}={value}" for key, value in labels.items()]
        keep.engine.run("create", "--network=none", f"--name={name}", *flags, IMAGE, "true")
    return set(STRANGERS)


@pytest.mark.parametrize("database", DATABASES)
async def test_after_anything_one_look_makes_it_as_the_server_says(
    database: str, request: pytest.FixtureRequest, engine: Podman, tmp_path: Path
) -> None:
    url = "sqlite:///:memory:"
    if database == "postgres":
        url = request.getfixturevalue("postgres_cluster").database()
    seed = int(os.environ.get("RUNWATCH_TEST_INSTANCE_SEED", "7"))
    async with open_keep(engine, tmp_path, url) as keep:
        await keep.ask("POST", "/api/v1/nodes/heartbeat", {"node_id": "n1", "process_id": "p"})
        chance = Chance(keep, random.Random(f"{database} {seed}"))
        strangers = leave_strangers(keep)
        steps = STEPS if database == "sqlite" else STEPS // 2
        while steps > 0:
            for _ in range(chance.rng.choice([1, 2, 4])):
                await chance.step()
                steps -= 1
            if chance.rng.random() < 0.4:
                await chance.killed_look()
            await chance.compare()
            await chance.check()
        for row in await chance.instances():
            await keep.ask("DELETE", f"/api/v1/agents/{row['id']}")
        await chance.compare()
        assert set(keep.containers()) == strangers


@long_only
async def test_a_node_killed_in_the_middle_of_each_change_is_followed_by_one_that_ends_it(
    engine: Podman, tmp_path: Path
) -> None:
    async with open_keep(engine, tmp_path, "sqlite:///:memory:") as keep:
        await keep.ask("POST", "/api/v1/nodes/heartbeat", {"node_id": "n1", "process_id": "p"})
        chance = Chance(keep, random.Random(3))
        for after_s in KILLED_AFTER_S:
            instance_id = await keep.make()
            for change, status in (("", "running"), ("/stop", "stopped"), ("/start", "running")):
                if change:
                    await keep.ask("POST", f"/api/v1/agents/{instance_id}{change}")
                await chance.killed_look(after_s)
                await chance.compare()
                await chance.check()
                row = await keep.instance(instance_id)
                assert (row["status"], row.get("error")) == (status, None)
            await keep.ask("DELETE", f"/api/v1/agents/{instance_id}")
            await chance.killed_look(after_s)
            await chance.compare()
            assert await chance.instances() == []
            await chance.check()


@long_only
async def test_an_engine_that_goes_on_with_what_a_killed_node_asked_for_makes_no_second_one(
    engine: Podman, tmp_path: Path
) -> None:
    async with open_keep(engine, tmp_path, "sqlite:///:memory:") as keep:
        await keep.ask("POST", "/api/v1/nodes/heartbeat", {"node_id": "n1", "process_id": "p"})
        instance_id = await keep.make()
        async with keep.keeper() as first, keep.keeper() as second:
            await asyncio.gather(first.reconcile(), second.reconcile())
        assert keep.containers() == {instance_name(instance_id): "running"}
        async with keep.keeper() as third:
            await third.reconcile()

        async def runs() -> bool:
            return (await keep.instance(instance_id))["status"] == "running"

        await until(runs, "it to run")
        assert (await keep.instance(instance_id))["account_id"] == ACCOUNT
