"""A cancel: the whole tree goes, soon where a person waits for it, and every line is reported."""

import asyncio

import pytest

from runwatch_nodemanager.processes import marked_pids
from tests.nodemanager.test_runs_on_a_node import stdout_of

LIMIT_S = 20
LONG_GRACE_S = 600.0
"""So long that a test which waits for it fails."""

# Nobody here ends by SIGTERM; one is in a session of its own, one has lost its parent.
DEAF_TREE = """
trap '' TERM
sh -c 'setsid sleep 600 &'
sh -c 'sleep 600' &
setsid sleep 600 &
echo begun
wait
"""
# The last words need longer than a person waits for.
SLOW_TO_LEAVE = "trap 'sleep 1.5; echo bye; exit 0' TERM; echo begun; while :; do sleep 0.05; done"


async def begun(server, new_node, script):
    run = server.add("run-000000000001", ["sh", "-c", script])
    node = await new_node(stop_grace_s=LONG_GRACE_S)
    await server.until(lambda: stdout_of(run) == ["begun"], timeout_s=LIMIT_S)
    return node, run


async def cancel(server, run, reason):
    run.cancel = reason
    async with server.changed:
        server.changed.notify_all()


async def test_a_tree_that_takes_no_hint_is_gone_soon_after_a_persons_cancel(server, new_node):
    node, run = await begun(server, new_node, DEAF_TREE)
    folder = node.folder.run(run.id)
    async with asyncio.timeout(LIMIT_S):
        while len(marked_pids(folder.path)) < 5:
            await asyncio.sleep(0.02)
    await cancel(server, run, "user")
    await server.until(lambda: run.status == "cancelled", timeout_s=LIMIT_S)

    assert marked_pids(folder.path) == []
    assert run.events[-1]["payload"]["reason"] == "user"
    assert [event["type"] for event in run.events].count("run_completed") == 1


@pytest.mark.parametrize(
    ("reason", "status"), [("timeout", "timeout"), ("node_drain", "cancelled")]
)
async def test_where_nobody_waits_an_agent_may_say_its_last_words(server, new_node, reason, status):
    _, run = await begun(server, new_node, SLOW_TO_LEAVE)
    await cancel(server, run, reason)
    await server.until(lambda: run.status == status, timeout_s=LIMIT_S)

    assert stdout_of(run) == ["begun", "bye"]
    assert run.events[-1]["payload"]["reason"] == reason


async def test_a_grace_that_is_shorter_holds_for_a_cancel_too(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", DEAF_TREE])
    await new_node(stop_grace_s=0.1, cancel_kill_s=LONG_GRACE_S)
    await server.until(lambda: stdout_of(run) == ["begun"], timeout_s=LIMIT_S)
    await cancel(server, run, "user")
    await server.until(lambda: run.status == "cancelled", timeout_s=LIMIT_S)
