"""`monitor-tui explain`, against the scripted server."""

import csv
import io
import json

import pytest

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from tests.console.network.commanding import command
from tests.console.network.scripted import Refusal, ScriptedServer
from tests.console.records import detail, event, page, server_info, summary

RUN = "run-000000000001"
WORKFLOW = f"/api/v1/monitor/workflows/run/{RUN}"


def serve(server: ScriptedServer) -> None:
    row = summary(health="looping", health_reason="same Bash call 3 of last 12")
    call = {"tool": "Bash", "input": {"command": "pytest\x1b[31m -q"}}
    server.answer(WORKFLOW, detail(row))
    server.answer("/api/v1/server", server_info())
    server.answer(f"{WORKFLOW}/events", page([event(n, "tool_use_start", call) for n in (4, 6, 8)]))


@pytest.mark.requirement("headless.explain")
async def test_explain_prints_facts_and_the_events_that_show_them(
    server: ScriptedServer, context: Context
) -> None:
    serve(server)
    done = await command(context, "explain", RUN)
    assert done.code == 0
    assert "same Bash call 3 of last 12" in done.out
    assert "4 of the last 12 calls" in done.out
    assert [line for line in done.lines if line.startswith("[6] same call: ▶ Bash pytest")]
    assert "\x1b" not in done.out


async def test_explain_is_json_and_csv_for_programs(
    server: ScriptedServer, context: Context
) -> None:
    serve(server)
    told = json.loads((await command(context, "explain", RUN, "-o", "json")).out)
    assert told["health"] == "looping"
    assert [piece["seq"] for piece in told["evidence"]] == [4, 6, 8]
    assert told["facts"][0] == {"fact": "health", "text": "same Bash call 3 of last 12"}
    assert told["thresholds"]["looping_calls"] == 4
    rows = list(
        csv.DictReader(io.StringIO((await command(context, "explain", RUN, "-o", "csv")).out))
    )
    assert [row["seq"] for row in rows if row["kind"] == "event"] == ["4", "6", "8"]


async def test_explain_in_chinese_and_within_a_narrow_terminal(
    server: ScriptedServer, context: Context
) -> None:
    serve(server)
    done = await command(context, "explain", RUN, language="zh", width=40)
    assert "相同调用" in done.out
    assert all(len(line) <= 40 for line in done.lines[1:])


async def test_a_run_that_is_not_there_ends_explain_as_usage(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(WORKFLOW, Refusal(404, "not_found", "no such run"))
    done = await command(context, "explain", RUN)
    assert done.code == ExitCode.USAGE
    assert "no such run" in done.err
