import csv
import io
import json
from pathlib import Path

import msgspec
import pytest
from starlette.websockets import WebSocket

from runwatch_console.contexts import Context
from runwatch_console.headless.exits import ExitCode
from runwatch_shared import wire
from runwatch_shared.models import EventView, WorkflowDetail
from runwatch_shared.wire import CancelAnswer, EventViewPage, Gap, NodeList
from tests.console.network.commanding import command
from tests.console.network.conftest import context_for
from tests.console.network.records import (
    NOW,
    change,
    event,
    event_view,
    heartbeat,
    hello,
    node,
    page,
    run,
    server_info,
    snapshot,
    stats,
    summary,
    task,
    waiting_summary,
    workflows,
)
from tests.console.network.scripted import Refusal, Scene, ScriptedServer, hold, send
from tests.shared.hostile import HOSTILE

RUN = "run-000000000001"
WORKFLOWS = "/api/v1/monitor/workflows"
WORKFLOW = f"{WORKFLOWS}/run/{RUN}"
STATS = "/api/v1/monitor/stats"


def detail(row: object) -> dict[str, object]:
    """A detail as JSON: a summary with what stands behind it left empty."""
    body = msgspec.to_builtins(row)
    body |= {"events": [], "events_truncated": False, "steps": [], "steps_total": 0}
    body |= {"tools": [], "lanes": [], "queue_detail": [], "related_ids": {}}
    body["state_data"] = {"state": body["state"], "progress": body["progress"]}
    msgspec.convert(body, WorkflowDetail)
    return body


def scene(*frames: object) -> Scene:
    async def play(websocket: WebSocket) -> None:
        await send(websocket, *frames)
        await hold(websocket)

    return play


def ending_scene(*frames: object, code: int = 1000) -> Scene:
    async def play(websocket: WebSocket) -> None:
        await send(websocket, *frames)
        await websocket.close(code)

    return play


# runs


@pytest.mark.requirement("headless.output")
async def test_runs_are_a_table_with_whole_ids_and_a_count(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(WORKFLOWS, page(summary(), waiting_summary("run-000000000002"), total=5140))
    done = await command(context, "runs")
    assert done.code == 0
    assert len(done.lines) == 3
    assert "RUN" in done.lines[0]
    assert RUN in done.lines[1]
    assert "add-metrics" in done.lines[1]
    assert "Bash: pytest -q" in done.lines[1]
    assert "git push origin main?" in done.lines[2]
    assert "2 of 5,140" in done.err
    assert server.seen[0].query["sort"] == "-attention"


async def test_a_table_keeps_within_the_terminal_and_lines_up_with_wide_characters(
    server: ScriptedServer, context: Context
) -> None:
    rows = [summary(name="修复登录页面的问题并补充测试用例"), summary("run-000000000002")]
    server.answer(WORKFLOWS, page(*rows))
    from runwatch_console.headless.texts import cells

    done = await command(context, "runs", width=80)
    assert all(cells(line) <= 80 for line in done.lines)
    positions = {cells(line[: line.index("run-0")]) for line in done.lines[1:]}
    assert len(positions) == 1


async def test_colour_is_only_where_it_is_wanted(server: ScriptedServer, context: Context) -> None:
    server.answer(WORKFLOWS, page(summary()))
    assert "\x1b[" in (await command(context, "runs", width=80, colour=True)).out
    assert "\x1b" not in (await command(context, "runs", width=80)).out


async def test_a_terminal_of_ascii_gets_ascii(server: ScriptedServer, context: Context) -> None:
    server.answer(WORKFLOWS, page(summary(name="修复")))
    done = await command(context, "runs", ascii_only=True)
    assert done.out.isascii()
    assert "??" in done.out


@pytest.mark.requirement("headless.lists")
async def test_a_filter_is_that_of_the_console_and_reads_on_until_it_has_enough(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(
        WORKFLOWS,
        page(summary(), summary("run-000000000002", node_id="n2"), next_cursor="c", total=4),
        page(summary("run-000000000003", node_id="n2"), total=4),
    )
    done = await command(context, "runs", "-f", "node:n2 cost<1", "--output", "ndjson")
    ids = [json.loads(line)["id"] for line in done.lines]
    assert ids == ["run-000000000002", "run-000000000003"]
    assert server.seen[1].query["cursor"] == "c"


async def test_a_filter_that_means_nothing_is_explained_and_nothing_is_asked(
    server: ScriptedServer, context: Context
) -> None:
    done = await command(context, "runs", "-f", "colour:red")
    assert done.code == ExitCode.USAGE
    assert "colour:red" in done.err
    assert server.seen == []


@pytest.mark.requirement("headless.output")
async def test_json_is_one_document_of_the_wires_rows(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(WORKFLOWS, page(summary()))
    done = await command(context, "runs", "-o", "json")
    assert msgspec.convert(json.loads(done.out), list[type(summary())]) == [summary()]  # type: ignore[misc]
    server.answer(WORKFLOWS, page())
    assert json.loads((await command(context, "runs", "-o", "json")).out) == []


@pytest.mark.requirement("headless.output")
async def test_csv_has_a_header_and_a_line_a_run(server: ScriptedServer, context: Context) -> None:
    server.answer(WORKFLOWS, page(summary(name="=cmd|' /C calc'!A0", node_id=None)))
    done = await command(context, "runs", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out, newline="")))
    assert rows[0]["id"] == RUN
    assert rows[0]["name"] == "'=cmd|' /C calc'!A0"
    assert rows[0]["node_id"] == ""
    assert rows[0]["cost_usd"] == "0.31"


async def test_no_runs_yet_says_how_to_make_one(server: ScriptedServer, context: Context) -> None:
    server.answer(WORKFLOWS, page())
    done = await command(context, "runs")
    assert done.out == ""
    assert "monitor-tui start" in done.err


@pytest.mark.parametrize("output", ["table", "json", "ndjson", "csv"])
async def test_hostile_names_reach_no_terminal(
    server: ScriptedServer, context: Context, output: str
) -> None:
    # Lone surrogates cannot be sent: JSON on the wire is UTF-8.
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    rows = [
        summary(f"run-{at:012x}", name=text, activity_text=text, node_id=text, error=text)
        for at, text in enumerate(texts)
    ]
    server.answer(WORKFLOWS, page(*rows))
    done = await command(context, "runs", "-o", output)
    assert done.code == 0
    shown = done.out.replace("\r\n", "\n")
    assert all(character == "\n" or character.isprintable() for character in shown)


@pytest.mark.requirement("headless.watch")
async def test_watching_prints_the_list_and_then_each_change_until_it_is_refused(
    server: ScriptedServer, context: Context
) -> None:
    second = "run-000000000002"
    server.play(
        ending_scene(
            hello(),
            snapshot(workflows=[summary(), summary(second, node_id="n2")]),
            change(812, 813, workflows=workflows(summary(status="failed", state="failed"))),
            change(813, 814, workflows=workflows(summary(second, node_id="n2", event_count=13))),
            change(814, 815, workflows=workflows(remove=(RUN, "run-never-sent"))),
            heartbeat(815),
            code=1008,
        )
    )
    done = await command(context, "runs", "--watch", "-f", "node:n1", "-o", "ndjson")
    assert done.code == ExitCode.AUTH
    seen = [json.loads(line) for line in done.lines]
    assert [(row["id"], row.get("status"), row.get("removed")) for row in seen] == [
        (RUN, "running", None),
        (RUN, "failed", None),
        (RUN, None, True),
    ]


async def test_watching_goes_on_over_a_lost_connection_and_prints_only_what_is_new(
    server: ScriptedServer, context: Context
) -> None:
    server.play(
        ending_scene(
            hello(), snapshot(workflows=[summary(), summary("run-000000000002")]), code=1001
        ),
        ending_scene(
            hello(),
            snapshot(workflows=[summary(), summary("run-000000000003")]),
            code=1008,
        ),
    )
    done = await command(context, "runs", "--watch", "-o", "ndjson")
    seen = [json.loads(line) for line in done.lines]
    assert [(row["id"][-1], row.get("removed")) for row in seen] == [
        ("1", None),
        ("2", None),
        ("3", None),
        ("2", True),
    ]
    assert "connection lost" in done.err
    assert "connected again" in done.err


@pytest.mark.parametrize(
    "arguments", [("runs", "--watch"), ("nodes", "-w"), ("run", RUN, "--follow")]
)
async def test_an_endless_json_document_is_refused(
    context: Context, arguments: tuple[str, ...]
) -> None:
    done = await command(context, *arguments, "--output", "json")
    assert done.code == ExitCode.USAGE
    assert "ndjson" in done.err


# nodes and stats


@pytest.mark.requirement("headless.lists")
async def test_nodes_are_listed_and_a_silent_node_is_not_believed(
    server: ScriptedServer, context: Context
) -> None:
    rows = [node(), node("n6", status="offline")]
    answer = NodeList(nodes=rows, count=2, next_cursor=None, revision=1, server_time=NOW)
    server.answer("/api/v1/nodes", answer)
    done = await command(context, "nodes")
    assert done.code == 0
    assert "n1" in done.lines[1]
    assert "?" in done.lines[2]
    only = await command(context, "nodes", "-f", "s:offline !n1 label:gpu=yes")
    assert len(only.lines) == 2
    assert only.lines[1].startswith("n6")
    wrong = await command(context, "nodes", "-f", "cost>1 moon:full")
    assert wrong.code == ExitCode.USAGE


@pytest.mark.requirement("headless.lists")
async def test_stats_are_a_few_lines_in_both_languages_and_unknown_is_never_nothing(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(STATS, stats())
    english = await command(context, "stats")
    assert "10 running · 3 waiting" in english.out
    assert "2 stalled" in english.out
    assert "5 of 6 online · 1 drain\n" in english.out
    assert "today – $" in english.out
    chinese = await command(context, "stats", language="zh")
    assert "10 运行中" in chinese.out
    assert len(english.lines) == len(chinese.lines)


async def test_stats_are_flat_in_csv_and_whole_in_json(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(STATS, stats())
    rows = dict(csv.reader(io.StringIO((await command(context, "stats", "-o", "csv")).out)))
    assert rows["workflows_by_state.waiting"] == "3"
    assert rows["usage.today"] == ""
    whole = json.loads((await command(context, "stats", "-o", "json")).out)
    assert whole["total_workflows"] == 5140


async def test_watched_stats_are_printed_each_time_they_come(
    server: ScriptedServer, context: Context
) -> None:
    server.play(
        ending_scene(
            hello(),
            snapshot(stats=stats()),
            change(812, 813, stats=stats(total_runs=6000)),
            code=1008,
        )
    )
    done = await command(context, "stats", "--watch", "-o", "ndjson")
    assert [json.loads(line)["total_runs"] for line in done.lines] == [5128, 6000]
    assert '"stats"' in server.upgrades[0].query["subscribe"]


# run


def event_page(*events: EventView, has_after: bool, gap: Gap | None = None) -> EventViewPage:
    return EventViewPage(
        events=list(events),
        total=9,
        first_seq=1,
        last_seq=9,
        has_before=False,
        has_after=has_after,
        gap=gap,
        server_time=NOW,
    )


async def test_the_events_of_a_run_are_printed_page_by_page(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(
        f"{WORKFLOW}/events",
        event_page(event_view(3, "first"), event_view(4, "二"), has_after=True),
        event_page(event_view(7, "last"), has_after=False),
    )
    done = await command(context, "run", RUN, "--from-seq", "2", "-o", "ndjson")
    lines = [json.loads(line) for line in done.lines]
    assert [line["seq"] for line in lines] == [3, 4, 7]
    assert lines[1]["payload"] == {"role": "assistant", "content": "二"}
    assert "data" not in lines[0]
    assert [seen.query["after_seq"] for seen in server.seen] == ["2", "4"]


async def test_removed_history_is_drawn_where_it_would_stand(
    server: ScriptedServer, context: Context
) -> None:
    gap = Gap(from_seq=1, to_seq=4200, reason="expired")
    server.answer(f"{WORKFLOW}/events", event_page(event_view(4201), has_after=False, gap=gap))
    done = await command(context, "run", RUN)
    assert done.lines[0] == "── gap 1–4,200 (expired) ──"
    assert "4,201" in done.lines[1]


async def test_the_events_as_json_are_one_document_also_when_there_are_none(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(
        f"{WORKFLOW}/events",
        event_page(event_view(1), event_view(2), has_after=True),
        event_page(event_view(3), has_after=False),
    )
    done = await command(context, "run", RUN, "-o", "json")
    assert [item["seq"] for item in json.loads(done.out)] == [1, 2, 3]
    server.answer(f"{WORKFLOW}/events", event_page(has_after=False))
    assert json.loads((await command(context, "run", RUN, "-o", "json")).out) == []


async def test_pages_that_never_end_are_given_up(server: ScriptedServer, context: Context) -> None:
    server.answer(f"{WORKFLOW}/events", event_page(has_after=True))
    assert (await command(context, "run", RUN)).code == ExitCode.FAILED


@pytest.mark.requirement("headless.run")
async def test_following_prints_every_event_once_and_ends_with_the_run(
    server: ScriptedServer, context: Context
) -> None:
    end = wire.RunEnd(run_id=RUN, status="failed", exit_code=137, last_seq=4)  # type: ignore[arg-type]
    server.answer("/api/v1/server", server_info())
    server.play(
        ending_scene(wire.EventsFrame(data=[event(1), event(2)]), code=1001),
        ending_scene(
            wire.EventsFrame(data=[event(2), event(3), event(4)]), wire.StatusFrame(data=end)
        ),
    )
    done = await command(context, "run", RUN, "--follow")
    assert done.code == 0
    assert [line.split()[1] for line in done.lines[:-1]] == ["1", "2", "3", "4"]
    assert done.lines[-1] == "── failed · exit 137 · 4 ──"
    assert server.upgrades[0].query["from_seq"] == "0"
    assert server.upgrades[1].query["from_seq"] == "2"


@pytest.mark.parametrize("output", ["table", "json", "ndjson", "csv"])
async def test_hostile_events_reach_no_terminal(
    server: ScriptedServer, context: Context, output: str
) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    views = [event_view(at, f"{text}\n[red]bold[/]") for at, text in enumerate(texts, 1)]
    server.answer(f"{WORKFLOW}/events", event_page(*views, has_after=False))
    done = await command(context, "run", RUN, "-o", output)
    shown = done.out.replace("\r\n", "\n")
    assert all(character == "\n" or character.isprintable() for character in shown)
    if output in ("table", "ndjson"):
        assert len(done.lines) == len(HOSTILE)


async def test_an_unknown_run_is_a_usage_error(server: ScriptedServer, context: Context) -> None:
    server.answer(f"{WORKFLOW}/events", Refusal(404, "not_found", "no such run"))
    done = await command(context, "run", RUN)
    assert done.code == ExitCode.USAGE
    assert "no such run" in done.err


# wait


@pytest.mark.requirement("headless.wait.0", "headless.wait.1", "headless.wait.3")
@pytest.mark.parametrize(
    ("row", "code"),
    [
        (summary(status="done", state="completed"), ExitCode.DONE),
        (summary(status="failed", state="failed"), ExitCode.FAILED),
        (summary(status="cancelled", state="failed"), ExitCode.FAILED),
        (summary(status="timeout", state="failed"), ExitCode.FAILED),
        (waiting_summary(), ExitCode.WAITING),
    ],
)
async def test_waiting_for_a_run_tells_its_end_by_the_code(
    server: ScriptedServer, context: Context, row: object, code: ExitCode
) -> None:
    server.answer(WORKFLOW, detail(summary()))
    server.play(
        scene(
            hello(),
            snapshot(workflows=[summary()]),
            change(812, 813, workflows=workflows(row)),  # type: ignore[arg-type]
        )
    )
    done = await command(context, "wait", RUN)
    assert done.code == code
    assert RUN in done.out
    assert f'"ids":["{RUN}"]' in server.upgrades[0].query["subscribe"]


@pytest.mark.requirement("headless.wait.0")
async def test_a_run_that_has_ended_already_needs_no_socket(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(WORKFLOW, detail(summary(status="done", state="completed")))
    assert (await command(context, "wait", RUN)).code == ExitCode.DONE
    assert server.upgrades == []


async def test_a_wait_may_go_on_while_a_human_is_waited_for(
    server: ScriptedServer, context: Context
) -> None:
    ended = summary(status="done", state="completed")
    server.answer(WORKFLOW, detail(waiting_summary()))
    server.play(
        scene(
            hello(),
            snapshot(workflows=[waiting_summary()]),
            change(812, 813, workflows=workflows(ended)),
        )
    )
    assert (await command(context, "wait", RUN, "--through-waits")).code == ExitCode.DONE


async def test_a_wait_outlives_a_restart_of_the_server(
    server: ScriptedServer, context: Context
) -> None:
    ended = summary(status="done", state="completed")
    server.answer(WORKFLOW, detail(summary()))
    server.play(
        ending_scene(hello(), snapshot(workflows=[summary()]), code=1001),
        Refusal(503, "not_ready"),
        scene(hello(resumed=True), change(812, 820, workflows=workflows(ended), total=0)),
    )
    assert (await command(context, "wait", RUN)).code == ExitCode.DONE
    assert server.upgrades[2].query["since"] == "812"


@pytest.mark.requirement("headless.wait.5")
async def test_a_wait_gives_up_when_the_server_stays_away(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(WORKFLOW, detail(summary()))
    server.play(ending_scene(hello(), snapshot(workflows=[summary()]), code=1001))
    done = await command(context, "wait", RUN, "--patience", "0")
    assert done.code == ExitCode.UNREACHABLE


@pytest.mark.requirement("headless.wait.124")
async def test_a_wait_with_a_time_limit_ends_with_124(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(WORKFLOW, detail(summary()))
    server.play(scene(hello(), snapshot(workflows=[summary()])))
    # As long as a machine with much to do needs to hear of the run at all.
    done = await command(context, "wait", RUN, "--timeout", "4")
    assert done.code == ExitCode.TIMEOUT
    assert "running" in done.err


@pytest.mark.parametrize(
    "frames",
    [
        (snapshot(),),
        (snapshot(workflows=[summary()]), change(812, 813, workflows=workflows(remove=(RUN,)))),
    ],
)
async def test_a_run_deleted_meanwhile_is_a_failure(
    server: ScriptedServer, context: Context, frames: tuple[object, ...]
) -> None:
    server.answer(WORKFLOW, detail(summary()))
    server.play(scene(hello(), *frames))
    done = await command(context, "wait", RUN)
    assert done.code == ExitCode.FAILED


@pytest.mark.requirement("headless.wait.2", "headless.wait.4", "headless.wait.5")
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal(404, "not_found"), ExitCode.USAGE),
        (Refusal(401, "invalid_credential"), ExitCode.AUTH),
        (Refusal(403, "forbidden"), ExitCode.AUTH),
        (Refusal(503, "store_unavailable", headers={"Retry-After": "9"}), ExitCode.UNREACHABLE),
    ],
)
async def test_what_a_wait_cannot_do_is_told_by_its_code(
    server: ScriptedServer, context: Context, refusal: Refusal, code: ExitCode
) -> None:
    server.answer(WORKFLOW, refusal)
    assert (await command(context, "wait", RUN)).code == code


async def test_a_server_that_is_not_there_is_5_and_says_how_to_start_it(tmp_path: Path) -> None:
    done = await command(context_for("http://127.0.0.1:1", tmp_path), "stats")
    assert done.code == ExitCode.UNREACHABLE
    assert "make run" in done.err
    assert "Traceback" not in done.err


# start and cancel


async def test_start_makes_a_task_and_prints_the_runs_id_alone(
    server: ScriptedServer, context: Context
) -> None:
    server.answer("/api/v1/tasks", task())
    server.answer("/api/v1/tasks/task-000000000001/runs", run())
    done = await command(
        context, "start", "--name", "hi", "--label", "a=b=c", "--", "sh", "-c", "echo --output"
    )
    assert (done.code, done.out) == (0, f"{RUN}\n")
    sent = json.loads(server.seen[0].body)
    assert sent["name"] == "hi"
    assert sent["labels"] == {"a": "b=c"}
    assert sent["agent"] == {
        "type": "command",
        "parameters": {"argv": ["sh", "-c", "echo --output"]},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--agent", "command"),
        ("--agent", "claude-code"),
        ("--agent", "claude-code", "--prompt", "x", "--", "ls"),
        ("--label", "nothing", "--", "ls"),
    ],
)
async def test_what_cannot_be_started_is_explained_and_nothing_is_sent(
    server: ScriptedServer, context: Context, arguments: tuple[str, ...]
) -> None:
    done = await command(context, "start", *arguments)
    assert done.code == ExitCode.USAGE
    assert done.err
    assert server.seen == []


async def test_cancel_says_what_it_asked_for(server: ScriptedServer, context: Context) -> None:
    server.answer(
        f"/api/v1/runs/{RUN}/cancel",
        CancelAnswer(status="running", cancelling=True, run=run(status="running")),
    )
    done = await command(context, "cancel", RUN, "--note", "too dear")
    assert done.code == 0
    assert RUN in done.out
    assert "running" in done.out


async def test_a_refusal_is_a_sentence_with_its_code(
    server: ScriptedServer, context: Context
) -> None:
    server.answer(f"/api/v1/runs/{RUN}/cancel", Refusal(409, "run_finished", "it has ended"))
    done = await command(context, "cancel", RUN)
    assert done.code == ExitCode.FAILED
    assert "it has ended (run_finished)" in done.err
