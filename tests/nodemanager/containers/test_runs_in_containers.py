"""Runs in real containers, from claim to terminal event."""

from tests.nodemanager.test_runs_on_a_node import payloads, stdout_of

LIMIT_S = 30


async def test_a_command_runs_in_a_container_and_is_reported_to_its_end(
    server, contained_node, engine
):
    run = server.add("run-000000000001", ["sh", "-c", "echo hello; echo oops >&2; pwd; exit 3"])
    await contained_node()
    await server.until(lambda: run.status == "failed", timeout_s=LIMIT_S)
    (started,) = payloads(run, "run_started")
    assert started["runtime"] == "podman"
    assert len(started["container"]) == 12
    assert stdout_of(run) == ["hello", "/workspace"]
    assert {"stderr": "oops"} in payloads(run, "command_output")
    assert run.events[-1]["payload"]["exit_code"] == 3
    assert engine.containers() == []
