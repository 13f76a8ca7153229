"""Limits of runs that are processes of this machine."""

import sys

from runwatch_shared.settings import ProcessLimits
from tests.nodemanager.test_runs_on_a_node import payloads, stdout_of

TAKE = "kept = bytearray(400 * 1024 * 1024); print('taken')"
BURN = "while True: pass"


def agent(*argv: str, **limits):
    return {"type": "command", "parameters": {"argv": list(argv), "limits": limits}}


async def test_open_files_and_memory_of_each_process_are_limited(server, new_node):
    files = server.add("run-000000000001", agent=agent("sh", "-c", 'ulimit -n; sh -c "ulimit -n"'))
    fewer = server.add("run-000000000002", agent=agent("sh", "-c", "ulimit -n", open_files=33))
    more = server.add("run-000000000003", agent=agent("sh", "-c", "ulimit -n", open_files=999))
    memory = server.add("run-000000000004", agent=agent(sys.executable, "-c", TAKE))
    await new_node(process_limits=ProcessLimits(open_files=77, memory_mb=200))
    await server.until(
        lambda: all(run.status in ("done", "failed") for run in server.runs.values()), timeout_s=30
    )
    assert stdout_of(files) == ["77", "77"]
    assert stdout_of(fewer) == ["33"]
    assert stdout_of(more) == ["77"]
    assert memory.status == "failed"
    assert "MemoryError" in memory.events[-1]["payload"]["error"]


async def test_without_limits_a_process_has_the_nodes_own(server, new_node):
    run = server.add("run-000000000001", agent=agent(sys.executable, "-c", TAKE))
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=30)
    assert stdout_of(run) == ["taken"]


async def test_processor_time_is_limited(server, new_node):
    run = server.add("run-000000000001", agent=agent(sys.executable, "-c", BURN, cpu_s=1))
    await new_node()
    await server.until(lambda: run.status == "failed", timeout_s=40)
    assert "SIGXCPU" in run.events[-1]["payload"]["error"]
    assert payloads(run, "run_started")[0]["runtime"] == "process"
