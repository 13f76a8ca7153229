"""Every recorded body of the four agents through the route: all records are accounted for, and the
totals are those the recording tells itself.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.http.house import House, open_house
from tests.server.otlp.making import AGENTS, LEVELS, Body, counted, recorded
from tests.server.otlp.stage import (
    NOW,
    deliver,
    events,
    only_run,
    outcomes,
    pass_time,
    tokens_of,
    workflows,
)


def attributes(pairs: list[Any]) -> dict[str, Any]:
    return {pair["key"]: next(iter((pair.get("value") or {"": None}).values())) for pair in pairs}


def told(bodies: list[Body], name: str) -> list[dict[str, Any]]:
    """The attributes of all records of a name, read without the code that is tested."""
    resources, scopes, records = LEVELS["logs"]
    found = [
        attributes(record["attributes"])
        for body in bodies
        for resource in body[resources]
        for scope in resource[scopes]
        for record in scope[records]
    ]
    return [each for each in found if each.get("event.name") == name]


def total(records: list[dict[str, Any]], name: str) -> int:
    return sum(int(each.get(name) or 0) for each in records)


def of_claude(bodies: list[Body]) -> tuple[dict[str, int], int, int]:
    turns = told(bodies, "api_request")
    results = told(bodies, "tool_result")
    tokens = {
        "input_tokens": total(turns, "input_tokens"),
        "output_tokens": total(turns, "output_tokens"),
        "cache_read_tokens": total(turns, "cache_read_tokens"),
        "cache_write_tokens": total(turns, "cache_creation_tokens"),
    }
    return tokens, len(results), sum(each["success"] != "true" for each in results)


def of_codex(bodies: list[Body]) -> tuple[dict[str, int], int, int]:
    turns = [each for each in told(bodies, "codex.sse_event") if "input_token_count" in each]
    cached = total(turns, "cached_token_count")
    results = told(bodies, "codex.tool_result")
    failed = sum(
        "exited with code 0" not in each["output"] and "Exit code: 0" not in each["output"]
        for each in results
    )
    tokens = {
        "input_tokens": total(turns, "input_token_count") - cached,
        "output_tokens": total(turns, "output_token_count"),
        "cache_read_tokens": cached,
        "cache_write_tokens": total(turns, "cache_write_token_count"),
    }
    return tokens, len(results), failed


def of_gemini(bodies: list[Body]) -> tuple[dict[str, int], int, int]:
    return of_family(bodies, "gemini_cli", thoughts_beside=True)


def of_qwen(bodies: list[Body]) -> tuple[dict[str, int], int, int]:
    return of_family(bodies, "qwen-code", thoughts_beside=False)


def of_family(
    bodies: list[Body], prefix: str, *, thoughts_beside: bool
) -> tuple[dict[str, int], int, int]:
    turns = told(bodies, f"{prefix}.api_response")
    calls = told(bodies, f"{prefix}.tool_call")
    cached = total(turns, "cached_content_token_count")
    thoughts = total(turns, "thoughts_token_count") if thoughts_beside else 0
    tokens = {
        "input_tokens": total(turns, "input_token_count") - cached,
        "output_tokens": total(turns, "output_token_count") + thoughts,
        "cache_read_tokens": cached,
        "cache_write_tokens": 0,
    }
    assert sum(tokens.values()) == total(turns, "total_token_count")
    failed = sum(
        not each["success"] or '"isError": true' in str(each.get("metadata")) for each in calls
    )
    return tokens, len(calls), failed


OWN_TOTALS: dict[str, Callable[[list[Body]], tuple[dict[str, int], int, int]]] = {
    "claude-2.1.330": of_claude,
    "codex-0.169.0": of_codex,
    "gemini-0.61.0": of_gemini,
    "qwen-0.24.4": of_qwen,
}


@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
@pytest.mark.parametrize("agent", AGENTS)
async def test_a_recorded_session_becomes_a_run_with_the_recordings_own_totals(
    house: House, agent: str, protobuf: bool
) -> None:
    logs, metrics = recorded(agent, "logs"), recorded(agent, "metrics")
    await deliver(house, "logs", *logs, protobuf=protobuf)
    await deliver(house, "metrics", *metrics, protobuf=protobuf)

    run = await only_run(house)
    tokens, calls, failures = OWN_TOTALS[agent](logs)
    assert sum(tokens.values()) > 0
    assert tokens_of(run) == tokens
    assert (run["tool_calls"], run["tool_failures"]) == (calls, failures)
    assert (run["agent_type"], run["origin"], run["status"]) == (
        AGENTS[agent],
        "external",
        "running",
    )
    assert run["labels"]["source"] == "otlp"
    assert not run["controllable"]
    assert (await workflows(house))[0]["open_tools"] == 0


@pytest.mark.parametrize("signal", ["logs", "metrics"])
@pytest.mark.parametrize("agent", AGENTS)
async def test_every_record_of_a_recording_is_accounted_for(
    house: House, agent: str, signal: str
) -> None:
    bodies = recorded(agent, signal)
    await deliver(house, signal, *bodies)
    found = await outcomes(house, signal)
    assert sum(found.values()) == sum(counted(signal, body) for body in bodies)
    assert found["rejected"] == found["duplicate"] == 0
    if signal == "logs":
        names = {event["type"] for event in await events(house, (await workflows(house))[0]["id"])}
        assert {"message", "tool_use_start", "tool_result", "result"} <= names


async def test_json_and_protobuf_of_a_recording_make_the_same_events(house: House) -> None:
    for agent in AGENTS:
        made: list[list[Any]] = []
        for protobuf in (False, True):
            async with open_house() as other:
                other.clock.set_wall(NOW)
                await deliver(other, "logs", *recorded(agent, "logs"), protobuf=protobuf)
                run = await only_run(other)
                made.append(
                    [
                        (event["seq"], event["type"], event["timestamp"], event["payload"])
                        for event in await events(other, run["id"])
                    ]
                )
        assert made[0] == made[1]


async def test_what_came_as_json_is_known_again_as_protobuf(house: House) -> None:
    for agent in AGENTS:
        for signal in ("logs", "metrics"):
            await deliver(house, signal, *recorded(agent, signal))
    before = await house.everything()
    first = await outcomes(house)
    for agent in AGENTS:
        for signal in ("logs", "metrics"):
            await deliver(house, signal, *recorded(agent, signal), protobuf=True)
    after, second = await house.everything(), await outcomes(house)
    assert after == before
    assert second["duplicate"] == first["stored"]
    assert second["stored"] == first["stored"]


async def test_claudes_cost_is_the_agents_own(house: House) -> None:
    logs = recorded("claude-2.1.330", "logs")
    await deliver(house, "logs", *logs)
    usage = (await only_run(house))["usage"]
    own = sum(float(each["cost_usd"]) for each in told(logs, "api_request"))
    assert math.isclose(usage["cost_usd"], own)
    assert usage["cost_source"] == "agent"
    assert not usage["partial"]


@pytest.mark.parametrize("agent", ["claude-2.1.330", "gemini-0.61.0"])
async def test_metrics_alone_tell_what_the_logs_tell(house: House, agent: str) -> None:
    await deliver(house, "metrics", *recorded(agent, "metrics"))
    run = await only_run(house)
    tokens, _, _ = OWN_TOTALS[agent](recorded(agent, "logs"))
    assert tokens_of(run) == tokens


@pytest.mark.parametrize("agent", ["claude-2.1.330", "gemini-0.61.0"])
async def test_usage_does_not_count_twice_when_metrics_come_before_logs(
    house: House, agent: str
) -> None:
    logs = recorded(agent, "logs")
    await deliver(house, "metrics", *recorded(agent, "metrics"))
    await deliver(house, "logs", *logs)
    await deliver(house, "metrics", *recorded(agent, "metrics"))
    tokens, _, _ = OWN_TOTALS[agent](logs)
    assert tokens_of(await only_run(house)) == tokens
    stats = await house.get("/api/v1/monitor/stats")
    assert stats["usage"]["today"]["total_tokens"] == sum(tokens.values())


async def test_nothing_a_person_or_agent_wrote_is_stored_unless_it_is_to_be_kept() -> None:
    written = ("Write a script that prints squares", "no_such_file", "look at the project first")
    for keep in (False, True):
        async with open_house(otlp_keep_prompts=keep) as house:
            house.clock.set_wall(NOW)
            stored = ""
            for agent in AGENTS:
                await deliver(house, "logs", *recorded(agent, "logs"))
            for row in await workflows(house):
                stored += str(row) + str(await events(house, row["id"]))
                stored += str(await house.get(f"/api/v1/tasks/{row['task_id']}"))
            assert [text in stored for text in written] == [keep] * len(written)


async def test_qwens_session_ends_as_it_says(house: House) -> None:
    await deliver(house, "logs", *recorded("qwen-0.24.4", "logs"))
    assert (await only_run(house))["status"] == "running"
    await pass_time(house, 11)
    run = await only_run(house)
    assert run["status"] == "done"
    last = (await events(house, run["id"]))[-1]
    assert last["payload"] == {"status": "done", "inferred_from": "session.end"}
    assert run["finished_at"] == "2026-11-23T23:25:57.713000Z"
