"""`monitor-tui attention`, `auth` and `tasks`, against the scripted server."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.websockets import WebSocket

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_shared.models import Task
from runwatch_shared.wire import TaskList
from tests.console import records
from tests.console.network.commanding import command
from tests.console.network.scripted import Scene, ScriptedServer, send
from tests.console.qr_reading import read, styled_lines
from tests.console.records import LOGIN_URL as URL
from tests.console.records import login

TASKS = "/api/v1/tasks"


def scene(*frames: Any, close: bool = False) -> Scene:
    """The frames; `close`: then the credential is refused, which ends the command."""

    async def play(websocket: WebSocket) -> None:
        await send(websocket, records.hello(), *frames)
        if close:
            await websocket.close(1008)
            return
        while True:
            await websocket.receive_text()

    return play


def fleet(*more: Any) -> Any:
    rows = [*records.fleet_rows(), *more]
    return records.snapshot(rows, records.fleet_nodes(), sub=1)


def tasks(found: Sequence[Task], cursor: str | None = None, total: int | None = None) -> TaskList:
    return TaskList(
        tasks=list(found), count=len(found), total=len(found) if total is None else total,
        total_exact=True, has_more=cursor is not None, next_cursor=cursor, revision=1,
        server_time=records.at(),
    )  # fmt: skip


# attention


@pytest.mark.requirement("headless.attention")
async def test_attention_is_listed_in_order_of_need(
    server: ScriptedServer, context: Context
) -> None:
    server.play(scene(fleet()))
    done = await command(context, "attention")
    assert done.code == 0
    states = [line.split()[0] for line in done.lines]
    assert states == ["PART", *["NEEDS"] * 3, *["UNHEALTHY"] * 4, *["CAPACITY"] * 3]
    assert "git push origin main?" in done.lines[1]
    assert "same Bash call 6 of last 12" in done.out


async def test_attention_is_json_csv_and_filtered(server: ScriptedServer, context: Context) -> None:
    server.play(scene(fleet()), scene(fleet()), scene(fleet()))
    told = json.loads((await command(context, "attention", "-o", "json")).out)
    assert [row["kind"] for row in told] == [*["run"] * 7, "node", "node", "queue"]
    out = (await command(context, "attention", "-o", "csv")).out
    assert [row["part"] for row in csv.DictReader(io.StringIO(out))].count("needs") == 3
    done = await command(context, "attention", "-o", "ndjson", "-f", "s:loop")
    assert [json.loads(line)["id"] for line in done.lines] == ["run-51aa00c4d2e1"]


async def test_attention_watches_what_comes_and_goes(
    server: ScriptedServer, context: Context
) -> None:
    new = records.summary("run-00000000000f", name="new-one", waiting=records.waiting("go on?"))
    frames = (
        records.change(upsert=[new], sub=1),
        records.change(remove=["run-00000000000f"], sub=1, previous=2, revision=3),
    )
    server.play(scene(fleet(), *frames, close=True))
    done = await command(context, "attention", "--watch", "-o", "ndjson")
    assert done.code == ExitCode.AUTH
    told = [json.loads(line) for line in done.lines[10:]]
    assert [row.get("id") or row["key"] for row in told] == [
        "run-00000000000f",
        "run:run-00000000000f",
    ]
    assert told[1]["removed"] is True


async def test_nothing_that_needs_anybody_is_said(server: ScriptedServer, context: Context) -> None:
    server.play(scene(records.snapshot([], [], sub=1)))
    done = await command(context, "attention")
    assert (done.code, done.out) == (0, "")
    assert "nothing needs anybody" in done.err


# auth


@pytest.mark.requirement("headless.auth")
async def test_logins_are_listed_with_codes_first(server: ScriptedServer, context: Context) -> None:
    server.play(scene(fleet(login())), scene(fleet(login())))
    done = await command(context, "auth")
    assert "WDJB-MJHT" in done.lines[1]
    assert "missing" in done.lines[2]
    told = json.loads((await command(context, "auth", "-o", "json", "-f", "codex login")).out)
    assert [row["user_code"] for row in told] == ["WDJB-MJHT"]


@pytest.mark.requirement("headless.auth.qr")
@pytest.mark.parametrize("form", ["colour", "plain", "ascii"])
async def test_logins_are_printed_with_codes_that_a_phone_reads(
    server: ScriptedServer, context: Context, form: str
) -> None:
    server.play(scene(fleet(login())))
    done = await command(
        context, "auth", "--qr", width=80, colour=form != "plain", ascii_only=form == "ascii"
    )
    assert done.code == 0
    assert {URL, "openai-codex_team  code WDJB-MJHT", "leads to auth.example"} <= set(done.lines)
    assert read(styled_lines(done.lines)) == [URL]
    assert form != "ascii" or done.out.isascii()


@pytest.mark.requirement("headless.auth.qr")
async def test_a_table_that_is_cut_has_whole_addresses_below(
    server: ScriptedServer, context: Context
) -> None:
    server.play(*[scene(fleet(login()))] * 3)
    assert URL in (await command(context, "auth", width=80)).lines
    piped = await command(context, "auth")
    assert URL in piped.lines[1]
    assert piped.lines[-1].split()[0] != URL
    done = await command(context, "auth", "--qr", "-o", "json")
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert "--qr" in done.err


@pytest.mark.requirement("headless.auth.qr", "rule.outside_text")
@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://a.example@b.example/"])
async def test_an_address_that_may_deceive_is_printed_without_a_code(
    server: ScriptedServer, context: Context, url: str
) -> None:
    facts = {"account_id": "team", "user_code": "WDJB-MJHT", "verify_url": url}
    server.play(scene(fleet(login(metadata=facts))))
    done = await command(context, "auth", "--qr", width=80)
    assert url in done.lines
    assert "no code: " in done.out
    assert read(styled_lines(done.lines), inverted=True) == []


@pytest.mark.requirement("headless.auth.qr")
async def test_what_a_terminal_has_no_room_or_no_signs_for_is_said(
    server: ScriptedServer, context: Context
) -> None:
    server.play(*[scene(fleet(login()))] * 2)
    assert "no room for a code" in (await command(context, "auth", "--qr", width=28)).out
    done = await command(context, "auth", "--qr", width=80, ascii_only=True)
    assert "neither block elements nor colours" in done.out


# tasks


@pytest.mark.requirement("headless.tasks")
async def test_tasks_are_listed_page_by_page(server: ScriptedServer, context: Context) -> None:
    all_tasks = records.fleet_tasks()
    server.answer(TASKS, tasks(all_tasks[:200], "more", 260), tasks(all_tasks[200:], total=260))
    done = await command(context, "tasks", "-f", "s:failed label:team=web slow one")
    assert done.code == 0
    assert len(done.lines) == 261
    assert "260 of 260" in done.err
    assert server.seen[0].query == {
        "status": "failed", "label": "team:web", "q": "slow one", "limit": "1000",
    }  # fmt: skip
    assert server.seen[1].query["cursor"] == "more"


async def test_tasks_are_json_and_csv_for_programs(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(TASKS, tasks(records.fleet_tasks()[:3]))
    told = json.loads((await command(context, "tasks", "-o", "json", "--limit", "3")).out)
    assert [row["id"] for row in told] == [f"task-{n:012d}" for n in range(3)]
    out = (await command(context, "tasks", "-o", "csv")).out
    assert [row["status"] for row in csv.DictReader(io.StringIO(out))][2] == "completed"


async def test_tasks_are_watched_by_their_numbers(server: ScriptedServer, context: Context) -> None:
    old = records.task("task-00000000000a", name="old")
    new = records.task("task-00000000000b", "pending", name="new")
    server.answer(TASKS, tasks([old]), tasks([new, old]), tasks([new]))
    stats = records.change(sub=1, workflows=None, stats=records.stats(total_tasks=2))
    again = records.change(
        sub=1, workflows=None, stats=records.stats(total_tasks=1), previous=2, revision=3
    )
    begin = records.snapshot(sub=1, workflows=None, nodes=None)
    server.play(scene(begin, stats, again, close=True))
    done = await command(context, "tasks", "--watch", "-o", "ndjson")
    told = [json.loads(line) for line in done.lines]
    assert [row["id"] for row in told] == [old.id, new.id, old.id]
    assert told[2]["removed"] is True


@pytest.mark.parametrize("name", ["attention", "auth", "tasks"])
async def test_json_is_one_document_and_cannot_be_watched(
    server: ScriptedServer, context: Context, name: str
) -> None:
    done = await command(context, name, "--watch", "-o", "json")
    assert done.code == ExitCode.USAGE
    assert "ndjson" in done.err


async def test_a_filter_that_tasks_do_not_have_is_usage(
    server: ScriptedServer, context: Context
) -> None:
    done = await command(context, "tasks", "-f", "node:n1", language="zh")
    assert done.code == ExitCode.USAGE
    assert "任务可用" in done.err
