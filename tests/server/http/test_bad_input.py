"""Each bad input has its refusal, in the contract's words, and changes nothing (contract 1.2)."""

from typing import Any

import pytest

from runwatch_shared.errors import STATUS_OF_CODE
from runwatch_shared.settings import Limits
from runwatch_shared.states import EVENT_TYPES
from tests.server.http.house import House, Unchanged, event, open_house

TASKS = "/api/v1/tasks"
MANY_LABELS = "&".join(f"label=a{n}" for n in range(17))
MANY_NODES = "node=" + ",".join(f"n{n}" for n in range(65))


def check(answer: Any, code: str, field: str | None = None, **details: Any) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (STATUS_OF_CODE[code], code), problem
    assert problem.get("field") == field
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    for name, value in details.items():
        assert problem["details"][name] == value


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"not json",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "x"} more',
        b'\xff\xfe{"name":1}',
        b'{"name":"x","prompt":"y","context":{"a":"\xff"}}',
    ],
)
async def test_what_is_no_json_is_refused(house: House, content: bytes) -> None:
    async with Unchanged(house):
        check(await house.send("POST", TASKS, content=content), "invalid_json")


async def test_events_whose_payload_is_no_json_are_refused(house: House) -> None:
    run_id, epoch = await house.held_run()
    path = f"/api/v1/runs/{run_id}/events"
    moment = b'"timestamp":"2026-11-23T10:31:22Z"'
    for payload in (b'{"a":"\xff"}', b'{"a":NaN}', b'{"a":' + b"[" * 100_000, b'{"a":"\\ud800"}'):
        content = b'{"epoch":%d,"events":[{"seq":1,"type":"message",%s,"payload":%s}]}' % (
            epoch,
            moment,
            payload,
        )
        async with Unchanged(house):
            check(await house.send("POST", path, who="node", content=content), "invalid_json")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "name"),
        ({"name": 5}, "invalid_field", "name"),
        ({"name": "x"}, "missing_field", "prompt"),
        ({"name": "", "prompt": "y"}, "invalid_field", "name"),
        ({"name": "a\u202eb", "prompt": "y"}, "invalid_field", "name"),
        ({"name": "x", "prompt": "y", "labels": {"a": 1}}, "invalid_field", "labels.a"),
        ({"name": "x", "prompt": "y", "timeout_s": 0}, "invalid_field", "timeout_s"),
        ({"name": "x", "prompt": "y", "priority": 101}, "invalid_field", "priority"),
        ({"name": "x", "prompt": "y" * 262_145}, "invalid_field", "prompt"),
        (
            {"name": "x", "prompt": "y", "workspace": {"type": "tar"}},
            "invalid_value",
            "workspace.type",
        ),
        ({"name": "x", "agent": {"type": "command"}}, "missing_field", "agent.parameters.argv"),
        ([1], "invalid_field", None),
    ],
)  # fmt: skip
async def test_a_task_that_does_not_fit_is_refused_by_field(
    house: House, body: Any, code: str, field: str | None
) -> None:
    async with Unchanged(house):
        check(await house.send("POST", TASKS, body=body), code, field)


async def test_an_unknown_status_names_those_that_are_known(house: House) -> None:
    run_id, epoch = await house.held_run()
    async with Unchanged(house):
        answer = await house.send(
            "PATCH", f"/api/v1/runs/{run_id}", who="node", body={"status": "paused", "epoch": epoch}
        )
        allowed = ["running", "done", "failed", "cancelled", "timeout"]
        check(answer, "invalid_value", "status", allowed=allowed)


async def test_an_unknown_event_type_names_the_event(house: House) -> None:
    run_id, epoch = await house.held_run()
    async with Unchanged(house):
        answer = await house.send(
            "POST",
            f"/api/v1/runs/{run_id}/events",
            who="node",
            body={"epoch": epoch, "events": [event(1), event(2, "no_such_type")]},
        )
        check(answer, "invalid_value", "events[1].type", allowed=list(EVENT_TYPES))


async def test_a_wrong_type_deep_in_a_batch_is_named_by_its_path(house: House) -> None:
    run_id, epoch = await house.held_run()
    async with Unchanged(house):
        answer = await house.send(
            "POST",
            f"/api/v1/runs/{run_id}/events",
            who="node",
            body={"epoch": epoch, "events": [event(1), {**event(2), "seq": "two"}]},
        )
        check(answer, "invalid_field", "events[1].seq")


async def test_another_event_under_a_used_number_conflicts(house: House) -> None:
    run_id, epoch = await house.held_run()
    path = f"/api/v1/runs/{run_id}/events"
    await house.make(path, {"epoch": epoch, "events": [event(1), event(5)]}, who="node")
    for seq, reason in ((5, "different"), (3, "below_last")):
        async with Unchanged(house):
            answer = await house.send(
                "POST",
                path,
                who="node",
                body={"epoch": epoch, "events": [event(seq, content="other"), event(6)]},
            )
            check(answer, "seq_conflict", seq=seq, last_seq=5, reason=reason)


async def test_a_writer_of_an_older_epoch_is_fenced_and_counted(house: House) -> None:
    run_id, epoch = await house.held_run()
    await house.make(
        f"/api/v1/runs/{run_id}/claim",
        {"node_id": "node-1", "process_id": "p2", "epoch": epoch},
        who="node",
    )
    async with Unchanged(house):
        answer = await house.send(
            "POST",
            f"/api/v1/runs/{run_id}/events",
            who="node",
            body={"epoch": epoch, "events": [event(1)]},
        )
        check(answer, "lease_lost", current_epoch=epoch + 1, reason="superseded")
    text = await house.metrics()
    assert "runwatch_fenced_writes_total 1.0" in text
    assert 'runwatch_ingest_refused_total{code="lease_lost"} 1.0' in text


async def test_a_body_over_the_limit_is_refused_by_its_length_alone(house: House) -> None:
    async with Unchanged(house):
        answer = await house.send("POST", TASKS, content=b" " * (1024 * 1024 + 1))
        check(answer, "body_too_large", max=1024 * 1024)


async def test_a_body_over_the_limit_is_refused_while_it_comes(house: House) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 65536

    async with Unchanged(house):
        answer = await house.client.post(
            TASKS,
            content=pieces(),
            headers={**house.headers("admin"), "Content-Type": "application/json"},
        )
        check(answer, "body_too_large", max=1024 * 1024)


async def test_a_batch_and_an_event_over_the_limit_are_refused(house: House) -> None:
    run_id, epoch = await house.held_run()
    path = f"/api/v1/runs/{run_id}/events"
    many = {"epoch": epoch, "events": [event(seq) for seq in range(1, 1002)]}
    large = {"epoch": epoch, "events": [event(1), event(2, content="x" * 262_144)]}
    async with Unchanged(house):
        check(
            await house.send("POST", path, who="node", body=many),
            "batch_too_large",
            "events",
            max=1000,
        )
        answer = await house.send("POST", path, who="node", body=large)
        check(answer, "event_too_large", "events[1].payload", max=262_144)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "code", "field"),
    [
        ("/api/v1/monitor/workflows?limit=-1", "invalid_parameter", "limit"),
        ("/api/v1/monitor/workflows?limit=ten", "invalid_parameter", "limit"),
        ("/api/v1/monitor/workflows?offset=-5", "invalid_parameter", "offset"),
        ("/api/v1/monitor/workflows?offset=10001", "invalid_parameter", "offset"),
        ("/api/v1/monitor/workflows?state=paused", "invalid_value", "state"),
        ("/api/v1/monitor/workflows?type=other", "invalid_value", "type"),
        ("/api/v1/monitor/workflows?health=fine", "invalid_value", "health"),
        ("/api/v1/monitor/workflows?sort=age", "invalid_value", "sort"),
        ("/api/v1/monitor/workflows?since=yesterday", "invalid_parameter", "since"),
        ("/api/v1/monitor/workflows?since=2026-11-23T10:00:00", "invalid_parameter", "since"),
        ("/api/v1/monitor/workflows?waiting=perhaps", "invalid_parameter", "waiting"),
        ("/api/v1/monitor/workflows?cursor=abc", "invalid_cursor", "cursor"),
        (f"/api/v1/monitor/workflows?q={'x' * 129}", "invalid_parameter", "q"),
        (f"/api/v1/monitor/workflows?{MANY_LABELS}", "invalid_parameter", "label"),
        (f"/api/v1/monitor/workflows?{MANY_NODES}", "invalid_parameter", "node"),
        ("/api/v1/monitor/workflows/other/x", "invalid_value", "type"),
        ("/api/v1/monitor/stats/history?minutes=0", "invalid_parameter", "minutes"),
        ("/api/v1/monitor/stats/history?minutes=1441", "invalid_parameter", "minutes"),
        ("/api/v1/tasks?status=paused", "invalid_value", "status"),
        ("/api/v1/tasks?limit=-1", "invalid_parameter", "limit"),
        ("/api/v1/nodes?status=gone", "invalid_value", "status"),
        ("/api/v1/nodes/n/runs?wait=-1", "invalid_parameter", "wait"),
        ("/api/v1/tasks?q=%ff", "invalid_parameter", None),
        (f"/api/v1/tasks?limit={'9' * 20}", "invalid_parameter", "limit"),
    ],
)  # fmt: skip
async def test_a_query_that_does_not_fit_is_refused_by_parameter(
    house: House, path: str, code: str, field: str | None
) -> None:
    check(await house.send("GET", path), code, field)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/tasks?limit=-1", "limit"),
        ("/api/v1/tasks?offset=-1", "offset"),
        ("/api/v1/monitor/stats/history?minutes=-1", "minutes"),
        ("/api/v1/runs/run-000000000000/events?from_seq=-1", "from_seq"),
        ("/api/v1/runs/run-000000000000/events?before_seq=-1", "before_seq"),
        ("/api/v1/nodes/n/runs?wait=-0.5", "wait"),
    ],
)
async def test_a_negative_number_is_said_to_be_one(house: House, path: str, name: str) -> None:
    problem = (await house.send("GET", path)).json()
    assert problem["error"] == f"{name} must not be negative"


async def test_the_contracts_own_example_of_a_problem_holds(house: House) -> None:
    answer = await house.send("GET", "/api/v1/monitor/workflows?limit=ten")
    assert answer.json() == {
        "error": "limit must be a number",
        "code": "invalid_parameter",
        "field": "limit",
        "details": {"value": "ten"},
    }


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/api/v1/tasks/task-000000000000", "task"),
        ("PATCH", "/api/v1/tasks/task-000000000000", "task"),
        ("DELETE", "/api/v1/tasks/task-000000000000", "task"),
        ("POST", "/api/v1/tasks/task-000000000000/runs", "task"),
        ("GET", "/api/v1/tasks/task-000000000000/runs", "task"),
        ("GET", "/api/v1/tasks/task-000000000000/tree", "task"),
        ("GET", "/api/v1/runs/run-000000000000", "run"),
        ("POST", "/api/v1/runs/run-000000000000/cancel", "run"),
        ("POST", "/api/v1/runs/run-000000000000/retry", "run"),
        ("GET", "/api/v1/runs/run-000000000000/events", "run"),
        ("GET", "/api/v1/runs/run-000000000000/approvals", "run"),
        ("GET", "/api/v1/runs/%2e%2e%2fetc/events", "path"),
        ("GET", "/api/v1/runs/a%20b", "run"),
        ("GET", "/api/v1/monitor/workflows/run/run-000000000000", "workflow"),
        ("GET", "/api/v1/monitor/workflows/run/run-000000000000/events", "workflow"),
        ("GET", "/api/v1/monitor/workflows/run/run-000000000000/steps", "workflow"),
        ("GET", "/api/v1/monitor/workflows/auth/act-000000000000", "workflow"),
        ("GET", "/api/v1/nodes/nobody", "node"),
        ("PATCH", "/api/v1/nodes/nobody", "node"),
        ("DELETE", "/api/v1/nodes/nobody", "node"),
        ("POST", "/api/v1/nodes/nobody/drain", "node"),
        ("DELETE", "/api/v1/auth/tokens/00000000", "token"),
        ("GET", "/api/v1/tasks/", "path"),
        ("GET", "/nowhere", "path"),
    ],
)
async def test_unknown_ids_are_404_by_kind(house: House, method: str, path: str, kind: str) -> None:
    async with Unchanged(house):
        check(await house.send(method, path), "not_found", kind=kind)


async def test_another_media_type_and_an_encoded_body_are_refused(house: House) -> None:
    body = b'{"name":"x","prompt":"y"}'
    async with Unchanged(house):
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Encoding": "gzip"},
        ):
            answer = await house.send("POST", TASKS, content=body, headers=headers)
            check(answer, "unsupported_media_type")
    answer = await house.send(
        "POST", TASKS, content=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 201


async def test_an_empty_body_counts_as_an_empty_object(house: House) -> None:
    task = await house.task()
    for headers in ({}, {"Content-Type": "text/plain"}):
        answer = await house.send("POST", f"{TASKS}/{task['id']}/runs", headers=headers)
        assert answer.status_code == 201


async def test_a_known_path_with_another_method_says_which_it_has(house: House) -> None:
    answer = await house.send("PUT", "/api/v1/runs/run-000000000000")
    check(answer, "method_not_allowed", allowed=["GET", "HEAD", "PATCH"])
    assert answer.headers["allow"] == "GET, HEAD, PATCH"


async def test_a_socket_asked_without_an_upgrade_is_told_to(house: House) -> None:
    answer = await house.send("GET", "/ws/monitor")
    check(answer, "upgrade_required")
    assert answer.headers["upgrade"] == "websocket"


async def test_a_full_writer_tells_the_node_when_to_come_back() -> None:
    async with open_house(limits=Limits(ingest_queue_events=1, writes_burst=10_000)) as house:
        run_id, epoch = await house.held_run()
        path = f"/api/v1/runs/{run_id}/events"
        house.services.writer._events = 1  # type: ignore[attr-defined]
        async with Unchanged(house):
            answer = await house.send(
                "POST", path, who="node", body={"epoch": epoch, "events": [event(1)]}
            )
            check(answer, "overloaded")
            assert answer.headers["retry-after"] == "1"
        house.services.writer._events = 0  # type: ignore[attr-defined]
