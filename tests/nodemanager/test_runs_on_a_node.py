"""Runs from claim to terminal event against a scripted server, through real supervisors."""

import asyncio
import json

from runwatch_shared.states import EVENT_TYPES


def payloads(run, kind):
    return [event["payload"] for event in run.events if event["type"] == kind]


def stdout_of(run):
    return [p["stdout"] for p in payloads(run, "command_output") if "stdout" in p]


async def test_a_command_is_claimed_run_and_reported_to_its_end(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo hello; echo oops >&2; exit 3"])
    await new_node()
    await server.until(lambda: run.status == "failed")
    assert [event["seq"] for event in run.events] == list(range(1, len(run.events) + 1))
    assert run.events[0]["type"] == "run_started"
    assert run.events[0]["payload"]["agent"]["type"] == "command"
    assert stdout_of(run) == ["hello"]
    assert {"stderr": "oops"} in payloads(run, "command_output")
    assert run.events[-1]["payload"]["exit_code"] == 3
    assert run.events[-1]["payload"]["error"] == "exited with code 3: oops"
    assert all(event["type"] in EVENT_TYPES for event in run.events)


async def test_a_successful_command_ends_done(server, new_node):
    run = server.add("run-000000000001", ["true"])
    await new_node()
    await server.until(lambda: run.status == "done")
    assert run.events[-1]["payload"]["exit_code"] == 0


async def test_a_signal_is_reported_as_a_shell_would(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "kill -9 $$"])
    await new_node()
    await server.until(lambda: run.status == "failed")
    assert run.events[-1]["payload"]["exit_code"] == 137
    assert "SIGKILL" in run.events[-1]["payload"]["error"]


async def test_a_missing_program_fails_with_its_own_code(server, new_node):
    run = server.add("run-000000000001", ["no-such-program-anywhere"])
    await new_node()
    await server.until(lambda: run.status == "failed")
    assert run.events[-1]["payload"]["error_code"] == "agent_missing"


async def test_an_agent_this_node_lacks_is_refused(server, new_node):
    run = server.add("run-000000000001", agent={"type": "openai-codex", "parameters": {}})
    await new_node()
    await server.until(lambda: run.status == "failed")
    assert run.events[-1]["payload"]["error_code"] == "agent_missing"


async def test_cancel_stops_the_whole_tree_and_reports_what_was_said(server, new_node):
    script = "trap '' TERM; echo begun; (trap '' TERM; sleep 60) & sleep 60"
    run = server.add("run-000000000001", ["sh", "-c", script])
    await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    run.cancel = "user"
    async with server.changed:
        server.changed.notify_all()
    await server.until(lambda: run.status == "cancelled")
    assert run.events[-1]["payload"]["reason"] == "user"


async def test_a_lost_run_is_stopped_and_says_nothing_more(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"])
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    run.lost = True
    count = len(run.events)
    async with asyncio.timeout(5):
        while not list(node.folder.aside.iterdir()):
            await asyncio.sleep(0.02)
    assert len(run.events) == count
    kept = json.loads(next(node.folder.aside.glob("*/kept.json")).read_text())
    assert kept["outcome"].startswith("lost")


async def test_a_superseded_epoch_is_told_lease_lost_and_its_spool_is_kept(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; read x; sleep 60"])
    node = await new_node()
    await server.until(lambda: stdout_of(run) == ["begun"])
    run.epoch, run.process_id = 9, "another"
    async with asyncio.timeout(10):
        while not list(node.folder.aside.iterdir()) and node.folder.run(run.id).path.exists():
            node.runtime.signal(node.folder.run(run.id), 15)
            await asyncio.sleep(0.05)
    assert run.status == "running"
    assert list(node.folder.aside.glob("run-000000000001.*/log/*.seg"))


async def test_the_node_never_runs_more_than_its_capacity(server, new_node):
    gate = ["sh", "-c", "sleep 0.3"]
    runs = [server.add(f"run-00000000000{n}", gate) for n in range(5)]
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, sum(1 for run in runs if run.process_id and run.status != "done"))
        return all(run.status == "done" for run in runs)

    await new_node(capacity=2)
    await server.until(done, timeout_s=15)
    assert most == 2


async def test_ten_megabytes_without_a_line_end_arrive_whole_in_pieces(server, new_node):
    script = "head -c 10000000 /dev/zero | tr '\\0' x; printf '\\nlast\\n'"
    run = server.add("run-000000000001", ["sh", "-c", script])
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=20)
    lines = stdout_of(run)
    assert lines[-1] == "last"
    assert "".join(lines[:-1]) == "x" * 10_000_000
    assert max(len(line) for line in lines) <= 32 * 1024


async def test_what_is_no_utf8_is_replaced_and_controls_are_kept(server, new_node):
    run = server.add("run-000000000001", ["printf", r"\xff\xfe\033[31m\000\n"])
    await new_node()
    await server.until(lambda: run.status == "done")
    assert stdout_of(run) == ["\ufffd\ufffd\x1b[31m\x00"]


async def test_secrets_of_the_node_are_not_in_an_agents_environment(server, new_node, monkeypatch):
    monkeypatch.setenv("NODE_TOKEN", "hush-one")
    monkeypatch.setenv("RUNWATCH_NODE_TOKEN", "hush-two")
    snapshot = {"env": {"MINE": "yes"}}
    run = server.add("run-000000000001", ["env"], snapshot=snapshot)
    await new_node()
    await server.until(lambda: run.status == "done")
    output = "\n".join(stdout_of(run))
    assert "hush-" not in output
    assert "MINE=yes" in output
    assert f"RUNWATCH_RUN_ID={run.id}" in output
