"""Instances on real containers: their life, the runs in them, and what becomes of both."""

import asyncio
import json
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runwatch_nodemanager.homes import account_home
from runwatch_nodemanager.runtimes.container_body import (
    INSTANCE_LABEL,
    instance_labels,
    instance_name,
)
from tests.nodemanager.conftest import end_supervised
from tests.nodemanager.containers.keep import (
    ACCOUNT,
    DATABASES,
    Keep,
    long_only,
    open_keep,
    until,
)
from tests.nodemanager.containers.podman import Podman
from tests.nodemanager.containers.test_ends_of_containers import leave, relay_pid
from tests.nodemanager.test_adoption import supervisor_pid

pytestmark = pytest.mark.timeout(240)

SECRET = "s3cr3t 'quoted' $HOME\nand 8f3ac1"


@pytest.fixture
async def keep(
    request: pytest.FixtureRequest, engine: Podman, tmp_path: Path
) -> AsyncIterator[Keep]:
    database = "sqlite:///:memory:"
    if getattr(request, "param", "sqlite") == "postgres":
        database = request.getfixturevalue("postgres_cluster").database()
    try:
        async with open_keep(engine, tmp_path, database) as keep:
            yield keep
    finally:
        end_supervised(tmp_path)


async def running(keep: Keep) -> str:
    instance_id = await keep.make()
    await keep.becomes(instance_id, "running", "error")
    return instance_id


def inspected(keep: Keep, instance_id: str) -> Any:
    return json.loads(keep.engine.run("inspect", instance_name(instance_id)))[0]


async def container_is(keep: Keep, instance_id: str, *states: str) -> None:
    async def so() -> bool:
        seen = await asyncio.to_thread(keep.containers)
        return seen.get(instance_name(instance_id), "") in states

    await until(so, f"the container of {instance_id} to be {states}")


@pytest.mark.parametrize("keep", DATABASES, indirect=True)
async def test_an_instance_lives_from_its_making_to_its_deletion_with_runs_in_it(
    keep: Keep, tmp_path: Path
) -> None:
    node = await keep.node()
    instance_id = await running(keep)
    row = await keep.instance(instance_id)
    name = instance_name(instance_id)
    assert (row["status"], row["container_name"]) == ("running", name)
    seen = inspected(keep, instance_id)
    home = account_home(node.folder, ACCOUNT)
    mounts = {mount["Destination"]: mount["Source"] for mount in seen["Mounts"]}
    assert mounts == {
        "/home/agent": str(home),
        "/workspace": str(node.folder.instance_workspaces(instance_id)),
    }
    labels = seen["Config"]["Labels"]
    assert (labels[INSTANCE_LABEL], labels["runwatch.node"]) == (instance_id, "n1")
    script = (
        'pwd; echo "$HOME"; printf %s "$SECRET" | md5sum; echo mine >~/kept; echo oops >&2;'
        "touch here; cat; exit 3"
    )
    run_id = await keep.run(instance_id, script, env={"SECRET": SECRET})
    ended = await keep.ended(run_id)
    assert (ended["status"], ended["exit_code"]) == ("failed", 3), ended
    printed = await keep.said(run_id)
    assert printed[:2] == [f"/workspace/{run_id}", "/home/agent"]
    assert len(printed) == 3
    assert (home / "kept").read_text() == "mine\n"
    assert (node.folder.instance_workspaces(instance_id) / run_id / "here").exists()
    events = (await keep.ask("GET", f"/api/v1/runs/{run_id}/events?limit=1000"))["events"]
    written = [e["payload"]["path"] for e in events if e["type"] == "file_write"]
    assert written == ["here"]
    assert "8f3ac1" not in keep.engine.run("inspect", name)
    assert keep.containers() == {name: "running"}
    await keep.ask("POST", f"/api/v1/agents/{instance_id}/stop")
    await keep.becomes(instance_id, "stopped")
    assert keep.containers() == {name: "exited"}
    (outside := tmp_path / "outside").mkdir()
    (outside / "private").write_text("of this machine\n")
    # What a run puts in its folder's place leads nobody of this machine elsewhere.
    away = f'cd /; rm -rf "$RUNWATCH_WORKSPACE"; ln -s {outside} "$RUNWATCH_WORKSPACE"'
    waiting = await keep.run(instance_id, f"cat ~/kept; {away}")

    async def reason() -> Any:
        path = f"/api/v1/monitor/workflows/run/{waiting}"
        return (await keep.ask("GET", path)).get("queue_reason") == (
            f"instance {instance_id}: stopped"
        )

    await until(reason, "the reason")
    await keep.ask("POST", f"/api/v1/agents/{instance_id}/start")
    assert (await keep.ended(waiting))["status"] == "done"
    assert await keep.said(waiting) == ["mine"]
    told = await keep.ask("GET", f"/api/v1/runs/{waiting}/events?limit=1000")
    assert "private" not in str(told)
    assert inspected(keep, instance_id)["Id"] == seen["Id"]
    assert (await keep.ask("DELETE", f"/api/v1/agents/{instance_id}"))["message"]
    await container_is(keep, instance_id, "")

    async def confirmed() -> bool:
        return not (await keep.ask("GET", "/api/v1/nodes/n1/agents"))["deleted"]

    await until(confirmed, "the node to say that it is removed")
    assert list(node.folder.instances.iterdir()) == []
    assert (home / "kept").exists()
    assert (outside / "private").exists()


def tree(base: int) -> str:
    """A shell's script whose processes leave it in every way; each sleeps a number of its own."""
    return (
        f"echo leader; (trap '' TERM; sleep {base + 1} & wait) &"
        f"setsid sh -c 'sleep {base + 2} & sleep {base + 3}' &"
        f"env -i sh -c '(sleep {base + 4} &) ; sleep {base + 5}' & echo begun; wait"
    )


def sleepers(base: int) -> set[int]:
    """Which of the ten programs `sleep` from a number on live."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if len(arguments) > 1 and arguments[0] == b"sleep" and arguments[1].isdigit():
            found.add(int(arguments[1]) - base)
    return found & set(range(10))


def numbers() -> int:
    """Ten that no other test sleeps."""
    return random.randrange(100_000, 900_000) * 10


async def test_a_cancelled_run_ends_with_its_whole_tree_and_nothing_else_in_the_instance(
    keep: Keep,
) -> None:
    await keep.node()
    instance_id, base = await running(keep), numbers()
    other = await keep.run(instance_id, f"echo begun; sleep {base}; echo after")
    run_id = await keep.run(instance_id, tree(base))
    await keep.says(run_id, "begun")
    await keep.says(other, "begun")

    async def all_there() -> bool:
        return sleepers(base) == {0, 1, 2, 3, 4, 5}

    await until(all_there, "every process")
    await keep.ask("POST", f"/api/v1/runs/{run_id}/cancel")
    assert (await keep.ended(run_id))["status"] == "cancelled"
    assert sleepers(base) == {0}
    assert keep.containers() == {instance_name(instance_id): "running"}
    script = f"(sleep {base + 6} &); setsid sleep {base + 7} & echo over"
    assert (await keep.ended(await keep.run(instance_id, script)))["status"] == "done"
    assert sleepers(base) == {0}
    refused = await keep.client.post(f"/api/v1/agents/{instance_id}/stop")
    assert refused.json()["details"]["run_ids"] == [other]
    await keep.ask("POST", f"/api/v1/agents/{instance_id}/stop?force=true")
    assert (await keep.ended(other))["status"] in ("cancelled", "failed")
    await keep.becomes(instance_id, "stopped")
    assert sleepers(base) == set()


@long_only
async def test_a_run_in_an_instance_outlives_the_node_manager_with_every_line(
    keep: Keep,
) -> None:
    node = await keep.node()
    instance_id = await running(keep)
    script = (
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.01; done;"
        "while [ ! -e go ]; do sleep 0.05; done; exit 4"
    )
    run_id = await keep.run(instance_id, script)
    for line in (2, 60):
        await keep.says(run_id, f"line {line}")
        await node.vanish()
        node = await keep.node()
    place = node.folder.instance_workspaces(instance_id) / run_id
    (place / "go").touch()
    ended = await keep.ended(run_id)
    assert (ended["status"], ended["exit_code"]) == ("failed", 4)
    assert await keep.said(run_id) == [f"line {n}" for n in range(1, 201)]
    assert keep.containers() == {instance_name(instance_id): "running"}


@long_only
@pytest.mark.parametrize("victim", ["supervisor", "relay", "both"])
async def test_what_holds_a_run_takes_it_along_when_it_is_killed_but_not_the_instance(
    keep: Keep, victim: str
) -> None:
    node = await keep.node()
    instance_id, base = await running(keep), numbers()
    run_id = await keep.run(instance_id, f"echo begun; sleep {base}")
    await keep.says(run_id, "begun")
    folder = node.folder.run(run_id)
    supervisor, relay = supervisor_pid(folder), relay_pid(folder)
    if victim == "both":
        await node.vanish()
        os.kill(relay, signal.SIGSTOP)
    if victim != "relay":
        os.kill(supervisor, signal.SIGKILL)
    if victim != "supervisor":
        os.kill(relay, signal.SIGKILL)
    if victim == "both":
        assert sleepers(base) == {0}
        await keep.node()
    assert (await keep.ended(run_id))["status"] == "failed"

    async def gone() -> bool:
        return not sleepers(base)

    await until(gone, "its processes to end")
    assert keep.containers() == {instance_name(instance_id): "running"}


@long_only
async def test_what_happens_to_containers_behind_our_back_comes_to_light(keep: Keep) -> None:
    node = await keep.node(every_s=1.0, orphan_grace_s=0.0)
    died, vanished = await running(keep), await running(keep)
    before = inspected(keep, vanished)["Id"]
    keep.engine.run("kill", instance_name(died))
    row = await keep.becomes(died, "error")
    assert row["error"] == "its container ended with exit code 137"
    await keep.ask("POST", f"/api/v1/agents/{died}/start")
    row = await keep.becomes(died, "running", "error")
    assert (row["status"], row.get("error")) == ("running", None)
    assert "error" not in row
    keep.engine.run("rm", "--force", "--time=0", instance_name(vanished))
    await container_is(keep, vanished, "running")
    assert inspected(keep, vanished)["Id"] != before
    assert (await keep.instance(vanished))["status"] == "running"
    mine = node.folder.path
    stray = instance_labels("n1", mine, instance_id="agent-00000000dead", account_id=ACCOUNT)
    leave(keep.engine, "nobodys", stray)
    leave(keep.engine, "twin", {**stray, INSTANCE_LABEL: vanished})
    leave(keep.engine, "strangers", {**stray, "runwatch.node": "n2"})
    leave(keep.engine, "elsewhere", {**stray, "runwatch.node-folder": "0" * 16})

    async def collected() -> bool:
        return not {"nobodys", "twin"} & set(await asyncio.to_thread(keep.containers))

    await until(collected, "the orphans to be removed")
    kept = {"strangers", "elsewhere", instance_name(died), instance_name(vanished)}
    assert set(keep.containers()) == kept


@long_only
async def test_an_engine_that_is_away_is_waited_for_and_one_that_comes_back_is_used(
    keep: Keep,
) -> None:
    node = await keep.node(every_s=1.0)
    lasting = await running(keep)
    await asyncio.to_thread(keep.engine.kill)
    waiting = await keep.make()

    async def told() -> bool:
        return "no container engine answers" in (await keep.instance(waiting)).get("error", "")

    await until(told, "why it waits")
    assert (await keep.instance(waiting))["status"] == "pending"
    assert (await keep.instance(lasting))["status"] == "running"
    await asyncio.to_thread(keep.engine.serve)
    row = await keep.becomes(waiting, "running", "error")
    assert (row["status"], row.get("error")) == ("running", None)
    assert keep.containers() == {
        instance_name(lasting): "running",
        instance_name(waiting): "running",
    }
    shutil.rmtree(node.folder.instances / waiting)  # a folder of it is lost
    keep.engine.run("rm", "--force", "--time=0", instance_name(waiting))
    await container_is(keep, waiting, "running")


@long_only
async def test_what_cannot_be_is_said(keep: Keep) -> None:
    await keep.node(default_images={"command": "localhost/none:latest"}, images=[])
    row = await keep.becomes(await keep.make(), "running", "error")
    assert row["error"] == "this node has no container image for claude-code"
    await keep.nodes[0].vanish()
    node = await keep.node(default_images={"*": "localhost/none:latest"}, images=[])
    row = await keep.becomes(await keep.make(), "running", "error")
    assert row["error"] == "the engine does not have the image localhost/none:latest"
    await node.vanish()
    await keep.node()
    instance_id = await running(keep)
    volume = {"type": "volume", "volume": {"name": "v"}}
    for task, code, words in (
        ({"workspace": volume}, "workspace_failed", "cannot have a volume workspace"),
        ({"parameters": {"limits": {"pids": 5}}}, "start_failed", "takes the instance's container"),
        ({"parameters": {"runtime": "process"}}, "start_failed", "takes the instance's container"),
        ({"parameters": {"argv": ["/bin/nonesuch"]}}, "agent_missing", "has no /bin/nonesuch"),
    ):
        run = await keep.ended(await keep.run(instance_id, "true", **task))
        assert (run["error_code"], words in run["error"]) == (code, True), run
    keep.engine.run("stop", "--time=0", instance_name(instance_id))
    assert len(keep.containers()) == 1
