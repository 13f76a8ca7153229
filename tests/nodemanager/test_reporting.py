"""What a node does with each answer of the server to what it reports."""

import asyncio
import itertools
import json

import pytest

from runwatch_nodemanager import manager, patience
from runwatch_nodemanager.manager import NodeRefusedError
from runwatch_shared.backoff import Backoff
from tests.nodemanager.fake_server import problem
from tests.nodemanager.test_adoption import expected, numbered
from tests.nodemanager.test_runs_on_a_node import payloads, stdout_of


def sample(node, name, **labels):
    value = node.metrics.registry.get_sample_value(name, {"node_id": "n1", **labels})
    return value or 0.0


@pytest.mark.parametrize(
    ("status", "code"),
    [(408, "request_timeout"), (429, "rate_limited"), (500, "internal"), (503, "overloaded")],
)
async def test_a_transient_refusal_is_tried_again(server, new_node, status, code):
    run = server.add("run-000000000001", numbered(20))
    refusals = 3

    def refuse(request):
        nonlocal refusals
        if request.url.path.endswith("/events") and refusals:
            refusals -= 1
            return problem(status, code)
        return None

    server.answer_with = refuse
    node = await new_node()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(20)
    assert sample(node, "executor_event_report_errors_total", code=code) == 3


async def test_reports_go_on_as_soon_as_a_heartbeat_finds_the_server_back(
    server, new_node, monkeypatch
):
    class Endless(Backoff):
        def next_s(self, retry_after_s=None):
            super().next_s(retry_after_s)
            return 3600.0

    monkeypatch.setattr(patience, "Backoff", Endless)
    run = server.add("run-000000000001", numbered(60, "sleep 0.01;"))
    node = await new_node()
    await server.until(lambda: len(stdout_of(run)) >= 5)
    await server.stop()
    async with asyncio.timeout(10):
        while not (
            sample(node, "executor_event_report_errors_total", code="unreachable")
            and sample(node, "executor_heartbeat_errors_total")
        ):
            await asyncio.sleep(0.02)
    await server.start()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(60)


async def test_lost_answers_do_not_double_events(server, new_node):
    run = server.add("run-000000000001", numbered(200))
    server.forget_answers = 4
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=15)
    assert stdout_of(run) == expected(200)


async def test_an_event_the_server_refuses_is_replaced_by_a_note_and_the_rest_goes_on(
    server, new_node
):
    script = "echo a; printf 'po%sn\\n' iso; echo b"
    run = server.add("run-000000000001", ["sh", "-c", script])
    server.refuse_events = lambda body: (
        problem(413, "event_too_large") if b"poison" in body else None
    )
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == ["a", "b"]
    notes = [p for p in payloads(run, "warning") if p["code"] == "event_refused"]
    assert len(notes) == 1
    assert "poison" not in json.dumps(run.events)


async def test_a_number_conflict_is_met_with_new_numbers(server, new_node):
    run = server.add("run-000000000001", numbered(30, "sleep 0.01;"))
    await new_node()
    await server.until(lambda: len(stdout_of(run)) >= 3)
    run.last_seq += 100
    await server.until(lambda: run.status == "done", timeout_s=10)
    assert stdout_of(run) == expected(30)
    numbers = [event["seq"] for event in run.events]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 100


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (409, "run_finished")])
async def test_a_run_that_is_no_more_is_stopped(server, new_node, status, code):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"])

    def refuse(request):
        gone = request.url.path.endswith("/events")
        return problem(status, code) if gone else None

    server.answer_with = refuse
    node = await new_node()
    await server.until(lambda: run.process_id is not None)
    await server.until(lambda: bool(list(node.folder.aside.iterdir())), timeout_s=10)
    assert not node.folder.run(run.id).path.exists()


async def test_a_token_that_is_renewed_is_read_again(server, new_node, tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("old\n")
    server.tokens = {"new"}
    run = server.add("run-000000000001", ["true"])
    await new_node(token_file=str(token_file))
    token_file.write_text("new\n")
    await server.until(lambda: run.status == "done", timeout_s=10)


@pytest.mark.parametrize("code", ["node_conflict", "node_deleted"])
async def test_a_process_the_server_refuses_ends_and_says_so(server, new_node, code):
    server.answer_with = lambda request: problem(409, code)
    node = await new_node()
    with pytest.raises(NodeRefusedError, match=code):
        await node.ended()


async def test_heartbeats_name_runs_agents_room_and_spool(server, new_node):
    run = server.add("run-000000000001", ["sh", "-c", "echo begun; sleep 60"])
    await new_node(labels={"zone": "a"})
    await server.until(lambda: any(beat["runs"] for beat in server.beats))
    await server.until(lambda: server.beats[-1]["runs"][0]["acked_seq"] >= 3)
    beat = server.beats[-1]
    assert beat["runs"][0] | {"acked_seq": 0, "spooled_seq": 0} == {
        "id": run.id,
        "epoch": 1,
        "alive": True,
        "spooled_seq": 0,
        "acked_seq": 0,
    }
    assert beat["capacity"] == {"max_concurrent": 4, "available": 3}
    assert beat["labels"] == {"zone": "a"}
    assert beat["runtimes"] == ["process"]
    assert beat["spool"]["events"] == 0
    offers = {offer["type"]: offer.get("ready", True) for offer in beat["agents"]}
    assert offers["command"] is True
    assert offers["general"] is True
    assert "claude-code" in offers


async def test_what_waits_for_the_server_is_told_in_numbers(server, new_node):
    server.add("run-000000000001", numbered(500))
    server.answer_with = lambda request: (
        problem(503, "overloaded") if request.url.path.endswith("/events") else None
    )
    node = await new_node()
    await server.until(lambda: bool(server.beats) and server.beats[-1]["spool"]["events"] >= 500)
    assert server.beats[-1]["spool"]["bytes"] > 500
    assert server.beats[-1]["spool"]["oldest_at"]
    assert sample(node, "executor_spool_events") >= 500


async def test_a_run_that_ended_is_not_lost_because_the_answer_was_late(server, new_node):
    run = server.add("run-000000000001", ["true"])
    server.forget_answers, server.forget_only = 10_000, b"run_completed"
    node = await new_node()
    await server.until(lambda: run.status == "done")
    run.lost = True
    beats = len(server.beats)
    await server.until(lambda: len(server.beats) > beats)
    server.forget_answers = 0
    await server.until(lambda: bool(list(node.folder.ended.iterdir())), timeout_s=20)
    assert not list(node.folder.aside.iterdir())


@pytest.mark.parametrize(
    "what", ["/api/v1/nodes/heartbeat", "/events", "/claim", "/api/v1/nodes/n1/runs"]
)
async def test_nothing_is_asked_again_before_the_time_the_server_names(server, new_node, what):
    asked: list[float] = []
    refused_at: list[float] = []
    loop = asyncio.get_running_loop()

    def refuse(request):
        if not request.url.path.endswith(what) or request.query_params.get("wait") == "0":
            return None
        asked.append(loop.time())
        if len(refused_at) < 2:
            refused_at.append(loop.time())
            answer = problem(503, "overloaded")
            answer.headers["Retry-After"] = "1"
            return answer
        return None

    server.answer_with = refuse
    run = server.add("run-000000000001", numbered(3))
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=30)
    assert len(refused_at) == 2
    # Whoever is late waits longer, never shorter.
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(asked[:3]))


async def test_tries_without_an_answer_are_spread_at_random(server, new_node, monkeypatch):
    ceilings: list[float] = []

    class Noting(Backoff):
        def __init__(self, **options):
            def uniform(low, high):
                ceilings.append(high)
                return low

            super().__init__(**options, uniform=uniform)

    monkeypatch.setattr(manager, "Backoff", Noting)
    server.answer_with = lambda request: problem(500, "internal")
    await new_node()
    async with asyncio.timeout(20):
        while len(ceilings) < 5:
            await asyncio.sleep(0.02)
    assert ceilings[:5] == [1.0, 2.0, 4.0, 5.0, 5.0]
