"""A node that is drained takes nothing more, goes on with what it has, and takes again later."""

from tests.nodemanager.test_runs_on_a_node import stdout_of

LIMIT_S = 20


async def test_a_drained_node_takes_nothing_and_goes_on_with_what_it_has(
    server, new_node, tmp_path
):
    gate = tmp_path / "gate"
    script = f"echo begun; while [ ! -e '{gate}' ]; do sleep 0.05; done; echo over"
    held = server.add("run-000000000001", ["sh", "-c", script])
    await new_node()
    await server.until(lambda: stdout_of(held) == ["begun"], timeout_s=LIMIT_S)
    server.drain = True
    drained_at = len(server.beats)
    await server.until(lambda: len(server.beats) >= drained_at + 2, timeout_s=LIMIT_S)
    waiting = server.add("run-000000000002", ["echo", "late"])
    told_at = len(server.beats)
    await server.until(lambda: len(server.beats) >= told_at + 3, timeout_s=LIMIT_S)
    assert waiting.process_id is None

    gate.touch()
    await server.until(lambda: held.status == "done", timeout_s=LIMIT_S)
    assert stdout_of(held) == ["begun", "over"]
    assert waiting.process_id is None

    server.drain = False
    await server.until(lambda: waiting.status == "done", timeout_s=LIMIT_S)
    assert stdout_of(waiting) == ["late"]
