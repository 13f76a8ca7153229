import asyncio
from pathlib import Path

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from runwatch_console.client import HttpApi
from runwatch_console.contexts import Context
from runwatch_console.ports import ApiError, EventQuery, NewTask
from runwatch_shared.wire import CancelAnswer, EventViewPage, NodeList, TaskRequest
from tests.console.network.conftest import context_for
from tests.console.network.records import (
    NOW,
    event_view,
    node,
    page,
    run,
    stats,
    summary,
    task,
)
from tests.console.network.scripted import Refusal, ScriptedServer, serving

STATS = "/api/v1/monitor/stats"
WORKFLOWS = "/api/v1/monitor/workflows"


async def refused(work: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await work  # type: ignore[misc]  # a coroutine of any answer
    return caught.value


@pytest.fixture
async def api(context: Context):
    made = HttpApi(context, request_s=5.0)
    yield made
    await made.aclose()


async def test_an_answer_becomes_its_record(server: ScriptedServer, api: HttpApi) -> None:
    server.answer(STATS, stats())
    assert await api.stats() == stats()


async def test_a_page_of_runs_is_asked_for_with_query_limit_and_cursor(
    server: ScriptedServer, api: HttpApi
) -> None:
    server.answer(WORKFLOWS, page(summary()))
    answer = await api.workflows({"state": "running", "q": "a b&c"}, limit=50, cursor="x=/+")
    assert answer.workflows == [summary()]
    assert server.seen[0].query == {
        "state": "running",
        "q": "a b&c",
        "limit": "50",
        "cursor": "x=/+",
    }


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (EventQuery(after_seq=0), {"after_seq": "0", "limit": "200"}),
        (EventQuery(before_seq=9, limit=5), {"before_seq": "9", "limit": "5"}),
        (
            EventQuery(tail=True, types=("error", "warning"), levels=("error",), q="x"),
            {"tail": "true", "limit": "200", "type": "error,warning", "level": "error", "q": "x"},
        ),
        (
            EventQuery(tail=True, include_raw=True),
            {"tail": "true", "limit": "200", "include": "raw"},
        ),
    ],
)
async def test_a_page_of_events_is_asked_for_by_exactly_its_position(
    server: ScriptedServer, api: HttpApi, query: EventQuery, sent: dict[str, str]
) -> None:
    path = f"{WORKFLOWS}/run/run-1/events"
    answer = EventViewPage(
        events=[event_view(1)],
        total=1,
        first_seq=1,
        last_seq=1,
        has_before=False,
        has_after=False,
        server_time=NOW,
    )
    server.answer(path, answer)
    assert await api.events("run-1", query) == answer
    assert server.seen[0].query == sent


async def test_all_pages_of_nodes_become_one_list(server: ScriptedServer, api: HttpApi) -> None:
    def nodes(*ids: str, cursor: str | None) -> NodeList:
        rows = [node(node_id) for node_id in ids]
        return NodeList(
            nodes=rows, count=len(rows), next_cursor=cursor, revision=1, server_time=NOW
        )

    server.answer("/api/v1/nodes", nodes("a", "b", cursor="c1"), nodes("c", cursor=None))
    answer = await api.nodes()
    assert [row.id for row in answer.nodes] == ["a", "b", "c"]
    assert answer.count == 3
    assert [seen.query for seen in server.seen] == [{}, {"cursor": "c1"}]


async def test_a_refusal_carries_the_servers_code_words_and_field(
    server: ScriptedServer, api: HttpApi
) -> None:
    body = b'{"error":"limit must be a number","code":"invalid_parameter","field":"limit"}'
    server.answer(STATS, Refusal(400, "", body=body))
    error = await refused(api.stats())
    assert (error.status, error.code, error.field) == (400, "invalid_parameter", "limit")
    assert error.error == "limit must be a number"
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_tried_again(
    server: ScriptedServer, api: HttpApi, status: int
) -> None:
    server.answer(STATS, Refusal(status, "overloaded"), Refusal(status, "overloaded"), stats())
    assert await api.stats() == stats()
    assert len(server.seen) == 3


async def test_after_three_tries_the_refusal_is_given(server: ScriptedServer, api: HttpApi) -> None:
    server.answer(STATS, Refusal(503, "overloaded"))
    error = await refused(api.stats())
    assert error.status == 503
    assert len(server.seen) == 3


async def test_a_retry_after_beyond_the_time_limit_is_not_waited_for(
    server: ScriptedServer, api: HttpApi
) -> None:
    server.answer(STATS, Refusal(429, "rate_limited", headers={"Retry-After": "60"}))
    error = await refused(api.stats())
    assert error.retry_after_s == 60
    assert len(server.seen) == 1


async def test_a_task_is_made_once_though_its_first_answer_is_lost(
    server: ScriptedServer, api: HttpApi
) -> None:
    server.answer("/api/v1/tasks", Refusal(503, "not_ready"), task())
    made = await api.create_task(
        NewTask(name="hello", agent_type="command", argv=("echo", "$HOME; rm"), labels={"a": "b"})
    )
    assert made.id == "task-000000000001"
    keys = {seen.headers["idempotency-key"] for seen in server.seen}
    assert len(server.seen) == 2
    assert len(keys) == 1
    sent = msgspec.json.decode(server.seen[0].body, type=TaskRequest)
    assert sent.agent is not None
    assert sent.agent.parameters == {"argv": ["echo", "$HOME; rm"]}
    assert sent.labels == {"a": "b"}
    assert sent.prompt is None


async def test_each_run_made_has_a_key_of_its_own(server: ScriptedServer, api: HttpApi) -> None:
    server.answer("/api/v1/tasks/t-1/runs", run())
    server.answer("/api/v1/runs/r-1/retry", run())
    await api.create_run("t-1")
    await api.create_run("t-1")
    await api.retry_run("r-1")
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 3


async def test_cancel_sends_its_note_only_when_there_is_one(
    server: ScriptedServer, api: HttpApi
) -> None:
    server.answer(
        "/api/v1/runs/r-1/cancel", CancelAnswer(status="running", cancelling=True, run=run())
    )
    assert (await api.cancel_run("r-1")).cancelling
    await api.cancel_run("r-1", "too dear")
    assert [seen.body for seen in server.seen] == [b"{}", b'{"note":"too dear"}']


async def test_an_id_cannot_leave_its_place_in_the_path(
    server: ScriptedServer, api: HttpApi
) -> None:
    error = await refused(api.workflow("../../auth/me?x=1#y"))
    assert error.status == 404
    assert server.seen[0].path.startswith("/api/v1/monitor/workflows/run/")
    assert server.seen[0].query == {}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"total_workflows":"many"}', b"\xff\xfe", b'{"a":']
)
async def test_an_answer_that_is_none_is_an_error_and_no_crash(
    server: ScriptedServer, api: HttpApi, body: bytes
) -> None:
    server.answer(STATS, Response(body, 200, media_type="application/json"))
    error = await refused(api.stats())
    assert error.code == "invalid_answer"


async def test_an_error_page_of_something_on_the_way_is_told_by_its_status(
    server: ScriptedServer, api: HttpApi
) -> None:
    server.answer(STATS, Refusal(404, "", body=b"<html>nginx</html>"))
    error = await refused(api.stats())
    assert (error.status, error.code) == (404, "http_404")


async def test_a_redirect_is_not_followed(server: ScriptedServer, api: HttpApi) -> None:
    server.answer(STATS, Response(b"", 302, {"Location": "/api/v1/elsewhere"}))
    error = await refused(api.stats())
    assert error.status == 302
    assert [seen.path for seen in server.seen] == [STATS]


async def test_a_server_that_does_not_answer_is_given_up_in_time(
    server: ScriptedServer, context: Context
) -> None:
    release = asyncio.Event()

    async def silent(_: Request) -> Response:
        await release.wait()
        return Response(b"")

    server.answer(STATS, silent)
    api = HttpApi(context, request_s=0.2)
    try:
        error = await refused(api.stats())
    finally:
        release.set()
        await api.aclose()
    assert (error.code, error.status) == ("timeout", 0)


async def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    api = HttpApi(context_for("http://127.0.0.1:1", tmp_path))
    error = await refused(api.stats())
    await api.aclose()
    assert (error.code, error.status, error.error) == ("unreachable", 0, "Connection refused")


async def test_a_server_that_came_back_on_another_port_is_found_by_the_next_request(
    tmp_path: Path,
) -> None:
    context = context_for("", tmp_path)
    api = HttpApi(context)
    async with serving(ScriptedServer()) as first:
        first.answer(STATS, stats())
        (tmp_path / "server.url").write_text(f"{first.url}\n")
        await api.stats()
    async with serving(ScriptedServer()) as second:
        second.answer(STATS, stats(revision=813))
        (tmp_path / "server.url").write_text(f"{second.url}\n")
        assert (await api.stats()).revision == 813
    await api.aclose()


async def test_a_token_written_anew_is_used_without_asking(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async def guarded(request: Request) -> Response:
        if request.headers.get("authorization") == "Bearer new":
            return Response(msgspec.json.encode(stats()))
        (tmp_path / "token").write_text("new")
        return Refusal(401, "invalid_credential").response()

    (tmp_path / "token").write_text("old")
    server.answer(STATS, guarded)
    api = HttpApi(context_for(server.url, tmp_path))
    assert await api.stats() == stats()
    await api.aclose()


async def test_an_unchanged_refused_credential_is_not_sent_again(
    server: ScriptedServer, api: HttpApi
) -> None:
    server.answer(STATS, Refusal(401, "unauthenticated"))
    error = await refused(api.stats())
    assert error.status == 401
    assert len(server.seen) == 1


async def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(
    server: ScriptedServer, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answer(STATS, stats())
    api = HttpApi(context)
    assert await api.stats() == stats()
    await api.aclose()


async def test_requests_at_one_time_share_one_client(server: ScriptedServer, api: HttpApi) -> None:
    server.answer(STATS, stats())
    answers = await asyncio.gather(*(api.stats() for _ in range(20)))
    assert answers == [stats()] * 20
