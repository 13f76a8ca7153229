"""`monitor-tui diff`, against the scripted server."""

import csv
import io
import json

import pytest

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_shared.wire import StepPage
from tests.console.network.commanding import command
from tests.console.network.scripted import Refusal, ScriptedServer
from tests.console.records import detail, page, server_info, summary
from tests.console.test_comparison import LEFT, RIGHT, log_of, steps

ROOT = "/api/v1/monitor/workflows/run"


def serve(server: ScriptedServer) -> None:
    server.answer("/api/v1/server", server_info())
    for run_id, commands, status in (
        (LEFT, ["ls", "pytest -q", "git push"], "succeeded"),
        (RIGHT, ["ls", "pytest -x", "git push"], "failed"),
    ):
        made = steps(commands, status=status)
        server.answer(f"{ROOT}/{run_id}", detail(summary(run_id, "done")))
        server.answer(f"{ROOT}/{run_id}/steps", StepPage(steps=made, total=len(made)))
        server.answer(f"{ROOT}/{run_id}/events", page(log_of(commands)))


@pytest.mark.requirement("headless.diff")
async def test_diff_prints_both_runs_step_by_step(server: ScriptedServer, context: Context) -> None:
    serve(server)
    done = await command(context, "diff", LEFT, RIGHT)
    assert done.code == 0
    assert [line for line in done.lines if line.startswith("~ A ✓ Bash: pytest -q")]
    assert [line for line in done.lines if line.startswith("~ B ✓ Bash: pytest -x")]
    assert [line for line in done.lines if line.startswith("! B ✕ Bash: git push")]
    assert "1 of 3 steps are the same; differences: 1" in done.err
    asked = [seen for seen in server.seen if seen.path.endswith("/steps")]
    assert asked[0].query == {"after_seq": "0", "limit": "1000"}
    inputs = [seen for seen in server.seen if seen.path.endswith("/events")]
    assert inputs[0].query["type"] == "tool_use_start,command"


async def test_diff_is_json_ndjson_and_csv_for_programs(
    server: ScriptedServer, context: Context
) -> None:
    serve(server)
    told = json.loads((await command(context, "diff", LEFT, RIGHT, "-o", "json")).out)
    assert told["first_difference"] == 1
    assert not told["same"]
    assert told["pairs"][1]["left"]["text"] == "Bash: pytest -q"
    lines = (await command(context, "diff", LEFT, RIGHT, "-o", "ndjson")).lines
    assert [json.loads(line)["kind"] for line in lines] == ["same", "input", "outcome"]
    out = (await command(context, "diff", LEFT, RIGHT, "-o", "csv")).out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["kind"] for row in rows] == ["same", "input", "outcome"]
    assert rows[2]["right_status"] == "failed"


async def test_a_diff_in_chinese_within_a_narrow_terminal(
    server: ScriptedServer, context: Context
) -> None:
    serve(server)
    done = await command(context, "diff", LEFT, RIGHT, language="zh", width=20)
    assert "3 步中 1 步相同" in done.err
    assert [line for line in done.lines if line.startswith("~ A ✓ Bash: pytest")]


async def test_a_run_that_is_not_there_ends_diff_as_usage(
    server: ScriptedServer, context: Context
) -> None:
    serve(server)
    server.answer(f"{ROOT}/{RIGHT}", Refusal(404, "not_found", "no such run"))
    done = await command(context, "diff", LEFT, RIGHT)
    assert done.code == ExitCode.USAGE
    assert "no such run" in done.err
