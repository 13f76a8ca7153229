"""The three routes: who may, what is read, what is refused and with what answer."""

import gzip
import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from runwatch_server.otlp import decoding, json_body, protobuf
from runwatch_shared.settings import Limits
from tests.server.http.house import PATIENT, House, open_house
from tests.server.otlp.making import PROTOBUF, in_protobuf, log, logs, tokens, turn
from tests.server.otlp.stage import deliver, only_run, outcomes, workflows

GZIP = {"Content-Encoding": "gzip"}
SIGNALS = ("logs", "metrics", "traces")
BIG = 16 * 1024 * 1024
DEEP = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + (
    b'{"arrayValue":{"values":[' * 20_000
)


async def post(
    house: House,
    content: bytes,
    *,
    path: str = "/v1/logs",
    who: str | None = "operator",
    **headers: str,
) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await house.send("POST", path, who=who, content=content, headers=named)


@pytest.mark.parametrize("signal", SIGNALS)
async def test_operators_and_nodes_may_export_and_nobody_else(house: House, signal: str) -> None:
    statuses = {
        who: (await post(house, b"{}", path=f"/v1/{signal}", who=who)).status_code
        for who in ("operator", "node", "node-1", "admin", "viewer", None)
    }
    assert (statuses.pop("viewer"), statuses.pop(None)) == (403, 401)
    assert set(statuses.values()) == {200}


async def test_a_credential_is_needed_on_loopback_too() -> None:
    async with open_house("local") as house:
        assert (await post(house, b"{}", who=None)).status_code == 401


@pytest.mark.parametrize("signal", SIGNALS)
async def test_an_empty_body_is_no_telemetry_and_fine(house: House, signal: str) -> None:
    path = f"/v1/{signal}"
    for content in (b"", b"{}"):
        answer = await post(house, content, path=path)
        assert (answer.status_code, answer.content) == (200, b"{}")
        assert answer.headers["content-type"] == "application/json"
    answer = await post(house, b"", path=path, Content_Type="application/x-protobuf")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ["json", "protobuf"])
async def test_both_encodings_are_read_packed_and_plain(
    house: House, encoding: str, packed: bool
) -> None:
    body = logs(turn())
    content = in_protobuf("logs", body) if encoding == "protobuf" else json.dumps(body).encode()
    headers = dict(PROTOBUF) if encoding == "protobuf" else {}
    if packed:
        half = len(content) // 2  # two members are one
        content = gzip.compress(content[:half]) + gzip.compress(content[half:])
        headers |= GZIP
    answer = await post(house, content, **headers)
    assert answer.status_code == 200
    assert (await only_run(house))["usage"]["total_tokens"] == 30


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        (GZIP, b"no gzip", 400, "invalid_field"),
        (GZIP, gzip.compress(b"{}" * 40, mtime=0)[:-9], 400, "invalid_field"),
        (GZIP, gzip.compress(b"", mtime=0) * 100, 400, "invalid_field"),
        (GZIP, gzip.compress(b" " * (BIG + 1), mtime=0), 413, "body_too_large"),
        ({}, b"{" + b" " * BIG + b"}", 413, "body_too_large"),
        ({"Content-Encoding": "br"}, b"{}", 415, "unsupported_media_type"),
        ({"Content-Encoding": "gzip, gzip"}, b"{}", 415, "unsupported_media_type"),
        ({"Content-Type": "text/plain"}, b"{}", 415, "unsupported_media_type"),
        ({}, b"{", 400, "invalid_json"),
        ({}, b'{"a":"\xff"}', 400, "invalid_json"),
        ({}, DEEP, 400, "invalid_json"),
        ({}, b'{"resourceLogs":7}', 400, "invalid_field"),
        (PROTOBUF, b"\x0a\x7f{", 400, "invalid_field"),
        (PROTOBUF, b'{"resourceLogs":[]}', 400, "invalid_field"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_the_servers_own_error(
    house: House, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    before = await house.everything()
    answer = await post(house, content, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert await house.everything() == before


async def test_a_packed_body_is_unpacked_no_further_than_it_may_be_long() -> None:
    """A gigabyte of blanks is a megabyte; more than the limit is never made of it."""
    bomb = gzip.compress(b" " * 64 * 1024 * 1024, 9)
    async with open_house(limits=Limits(otlp_bytes=100_000, writes_burst=1000)) as house:
        answer = await post(house, bomb, **GZIP)
        assert (answer.status_code, answer.json()["details"]) == (413, {"max": 100_000})
        exact = b"{" + b" " * 99_998 + b"}"
        assert (await post(house, gzip.compress(exact), **GZIP)).status_code == 200
        assert (await post(house, gzip.compress(exact + b" "), **GZIP)).status_code == 413


async def test_a_body_of_countless_tiny_parts_is_refused_before_it_is_decoded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_body, "MOST_OBJECTS", 1000)
    monkeypatch.setattr(protobuf, "MOST_MESSAGES", 1000)
    monkeypatch.setattr(protobuf, "COUNTED_BYTES", 100)
    body = logs(*(log("plugin_loaded", at_s=n) for n in range(400)))
    answer = await post(house, json.dumps(body).encode())
    assert (answer.status_code, answer.json()["code"]) == (413, "batch_too_large")
    answer = await post(house, in_protobuf("logs", body), **PROTOBUF)
    assert (answer.status_code, answer.json()["code"]) == (413, "batch_too_large")
    few = logs(*(log("plugin_loaded", at_s=n) for n in range(40)))
    assert (await post(house, in_protobuf("logs", few), **PROTOBUF)).status_code == 200


async def test_records_of_programs_that_are_no_agents_are_rejected_with_the_reason(
    house: House,
) -> None:
    record = {"timeUnixNano": "1", "body": {"stringValue": "GET /"}}
    other = logs(record, record, service="nginx")
    why = "2 rejected: no agent known here wrote them"
    answer = await post(house, json.dumps(other).encode())
    assert answer.status_code == 200
    assert answer.json() == {"partialSuccess": {"rejectedLogRecords": 2, "errorMessage": why}}
    answer = await post(house, in_protobuf("logs", other), **PROTOBUF)
    told = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert (told.rejected_log_records, told.error_message) == (2, why)
    assert (await outcomes(house))["rejected"] == 4
    assert await workflows(house) == []


async def test_rejected_data_points_are_told_as_such(house: House) -> None:
    point = tokens("input", 1, at_s=1, session="no session, as it has blanks")
    answer = await post(house, json.dumps(point).encode(), path="/v1/metrics")
    why = "1 rejected: their session has no usable id"
    assert answer.json() == {"partialSuccess": {"rejectedDataPoints": 1, "errorMessage": why}}
    content = in_protobuf("metrics", point)
    answer = await post(house, content, path="/v1/metrics", **PROTOBUF)
    told = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (told.rejected_data_points, told.error_message) == (1, why)


async def test_spans_are_accepted_and_make_nothing(house: House) -> None:
    scope = {"spans": [{"name": "a", "traceId": "5b8efff798038103d269b633813fc60c"}, {}]}
    await deliver(house, "traces", {"resourceSpans": [{"scopeSpans": [scope]}]})
    assert (await outcomes(house, "traces"))["ignored"] == 2
    assert await workflows(house) == []


async def test_numbers_of_any_spelling_are_read_and_nonsense_is_none(house: House) -> None:
    odd = turn(at_s=1, input_tokens="many", output_tokens=-5, cost_usd="NaN", cache_read_tokens=4)
    odd["attributes"].append({"key": "empty"})
    odd["attributes"].append({"key": "void", "value": {}})
    odd["timeUnixNano"] = 1.0
    answer = await post(house, json.dumps(logs(odd)).encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_field")
    odd["timeUnixNano"] = "soon"
    await deliver(house, "logs", logs(odd))
    usage = (await only_run(house))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["cost_usd"]) == (0, 0, None)
    assert usage["cache_read_tokens"] == 4


async def test_whoever_comes_while_there_is_no_room_is_told_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_BODIES", 1)
    async with house.services.otlp.room():
        answer = await post(house, b"{}")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await post(house, b"{}")).status_code == 200


async def test_a_body_of_more_records_than_one_commit_takes_is_taken_whole(house: House) -> None:
    many = logs(*(turn(at_s=n / 10) for n in range(1200)))
    await deliver(house, "logs", many)
    run = await only_run(house)
    assert run["usage"]["total_tokens"] == 1200 * 30
    assert run["event_count"] == run["last_seq"] == 1202
    await deliver(house, "logs", many)
    assert (await outcomes(house)) == {
        "stored": 1200,
        "ignored": 0,
        "duplicate": 1200,
        "rejected": 0,
    }


async def test_outside_text_stays_text(house: House) -> None:
    evil = "\x1b]8;;http://x\x07\u202e[red]"
    record = log("tool_result", tool_name=f"Ba{evil}sh", tool_use_id="t", success="false")
    await deliver(house, "logs", logs(record, **{"host.name": f"h{evil}"}))
    (row,) = await workflows(house)
    assert row["labels"] == {"source": "otlp", "host": "h[red]"}
    detail = await house.get(f"/api/v1/monitor/workflows/run/{row['id']}")
    assert [tool["tool"] for tool in detail["tools"]] == ["Ba[red]sh"]


async def test_one_body_may_tell_of_so_many_sessions_and_no_more(house: House) -> None:
    many = logs(*(turn(session=f"s{n}") for n in range(201)))
    answer = await post(house, json.dumps(many).encode())
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == 1
    assert len((await house.get("/api/v1/monitor/workflows", limit=1000))["workflows"]) == 200


async def test_the_routes_and_their_bodies_are_in_the_openapi_document(house: House) -> None:
    document = await house.get("/api/v1/openapi.json")
    for signal in SIGNALS:
        operation = document["paths"][f"/v1/{signal}"]["post"]
        content = operation["requestBody"]["content"]
        assert set(content) == {"application/json", "application/x-protobuf"}
        assert operation["x-scopes"] == ["admin", "node", "operator"]


async def test_another_method_is_not_allowed(house: House) -> None:
    answer = await house.send("GET", "/v1/logs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_patient_sender_is_slowed_down_by_its_rate_like_every_writer() -> None:
    async with open_house(limits=Limits(writes_burst=2, writes_per_s=1)) as house:
        statuses = [(await post(house, b"{}")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert PATIENT.otlp_bytes == BIG
