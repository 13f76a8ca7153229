"""`monitor-tui explain` of a node, against the scripted server."""

import csv
import io
import json

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_shared.ledger import LedgerAnswer, LedgerRow
from runwatch_shared.models import NodeId
from tests.console.network.commanding import command
from tests.console.network.records import EARLIER, NOW
from tests.console.network.scripted import Refusal, ScriptedServer

GONE = Refusal(404, "not_found", "no such run")


def serve(server: ScriptedServer, **numbers: int | None) -> None:
    rows = [
        LedgerRow(
            run_id="run-000000000001", class_="phantom", since=EARLIER, reason="never reported"
        ),
        LedgerRow(
            ref="left\x1b[31mover", class_="orphan", since=NOW, reason="a process without a run"
        ),
    ]
    told: dict[str, int | None] = {"real": 3, "matched": 2, "phantom": 1, "orphan": 1, **numbers}
    answer = LedgerAnswer(
        node_id=NodeId("n1"),
        capacity=4,
        allocated=3,
        pending=0,
        as_of=NOW,
        rows=rows if told["real"] is not None else [],
        **told,
    )
    server.answer("/api/v1/monitor/workflows/run/n1", GONE)
    server.answer("/api/v1/nodes/n1/ledger", answer)


async def test_a_node_is_explained_row_by_row(server: ScriptedServer, context: Context) -> None:
    serve(server)
    done = await command(context, "explain", "n1")
    assert done.code == 0
    assert "3 given: 0 pending, 2 matched, 1 phantom · 3 real: 2 matched, 1 orphan" in done.out
    assert [line for line in done.lines if line.startswith("phantom   run-000000000001")]
    assert "a process without a run" in done.out
    assert "\x1b" not in done.out


async def test_it_is_json_and_csv_for_programs(server: ScriptedServer, context: Context) -> None:
    serve(server)
    told = json.loads((await command(context, "explain", "n1", "-o", "json")).out)
    assert (told["phantom"], told["rows"][0]["class"]) == (1, "phantom")
    out = (await command(context, "explain", "n1", "-o", "csv")).out
    assert [row["class"] for row in csv.DictReader(io.StringIO(out))] == ["phantom", "orphan"]


async def test_of_an_offline_node_nothing_is_made_up(
    server: ScriptedServer, context: Context
) -> None:
    serve(server, real=None, matched=None, phantom=None, orphan=None)
    done = await command(context, "explain", "n1", language="zh")
    assert "已分配 3 · 节点离线" in done.out
    told = json.loads((await command(context, "explain", "n1", "-o", "ndjson")).out)
    assert told["real"] is None


async def test_what_is_neither_run_nor_node_is_told_as_a_run(
    server: ScriptedServer, context: Context
) -> None:
    server.answer("/api/v1/monitor/workflows/run/n9", GONE)
    server.answer("/api/v1/nodes/n9/ledger", Refusal(404, "not_found", "no such node"))
    done = await command(context, "explain", "n9")
    assert done.code == ExitCode.USAGE
    assert "no such run" in done.err
