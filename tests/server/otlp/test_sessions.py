"""A session and its run: begun, ended by silence, gone on with, and known again when repeated."""

from collections.abc import Iterator
from typing import Any

import pytest

from runwatch_server.otlp import memory
from runwatch_shared.states import is_terminal
from tests.server.domain.keeping import node
from tests.server.otlp.keeping import SECOND_US, Telemetry
from tests.server.otlp.making import START_NS, log, logs, tokens, turn

SILENT_S = 901


@pytest.fixture
def keeper() -> Iterator[Telemetry]:
    with Telemetry() as keeper:
        yield keeper


def test_a_run_begins_with_the_first_record_and_not_when_it_came(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(at_s=60)))
    (run,) = keeper.runs()
    assert run.created_us == run.started_us == START_NS // 1000 + 60 * SECOND_US
    assert run.agent_session_id is not None


def test_a_record_without_a_believable_time_is_of_now(keeper: Telemetry) -> None:
    record = turn()
    record["timeUnixNano"] = record["observedTimeUnixNano"] = "17"
    keeper.take("logs", logs(record))
    assert keeper.runs()[0].created_us == keeper.now_us


def test_what_says_nothing_makes_no_run(keeper: Telemetry) -> None:
    (taken,) = keeper.take("logs", logs(log("plugin_loaded"), log("never_heard_of")))
    assert (taken.stored, taken.made) == (0, None)
    assert keeper.runs() == []


def test_a_silent_session_ends_as_of_its_last_record(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(at_s=0), turn(at_s=30)))
    keeper.sweep(SILENT_S - 2)
    assert keeper.runs()[0].status == "running"
    keeper.sweep(2)
    (run,) = keeper.runs()
    assert run.status == "done"
    assert run.finished_us == START_NS // 1000 + 30 * SECOND_US
    assert run.source.kind == "inferred"
    assert run.source.note == "no telemetry for 900 s"


def test_a_record_that_says_nothing_is_a_sign_of_life(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn()))
    keeper.sweep(600)
    keeper.take("logs", logs(log("plugin_loaded", at_s=5)))
    keeper.sweep(600)
    assert keeper.runs()[0].status == "running"


def test_a_session_that_went_silent_after_an_error_failed(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(), log("api_retries_exhausted", at_s=9, error="529 overloaded")))
    keeper.sweep(SILENT_S)
    (run,) = keeper.runs()
    assert (run.status, run.error, run.error_code) == ("failed", "529 overloaded", "agent_error")


def test_an_error_that_was_got_over_fails_nothing(keeper: Telemetry) -> None:
    keeper.take("logs", logs(log("api_error", error="529", status_code=529), turn(at_s=9)))
    keeper.sweep(SILENT_S)
    assert keeper.runs()[0].status == "done"


def test_a_session_that_goes_on_after_its_end_gets_a_new_run_of_the_same_task(
    keeper: Telemetry,
) -> None:
    keeper.take("logs", logs(turn(at_s=0)))
    keeper.sweep(SILENT_S)
    keeper.take("logs", logs(turn(at_s=0), turn(at_s=4000)))
    first, second = keeper.runs()
    assert second.parent_id == first.id
    assert second.task_id == first.task_id
    assert second.attempt == 2
    assert [run.usage.input_tokens for run in (first, second) if run.usage] == [10, 10]
    task = keeper.read(lambda tx: tx.tasks.get(first.task_id))
    assert task is not None
    assert (task.runs_total, task.runs_active, task.last_run_id) == (2, 1, second.id)


def test_metrics_of_a_new_run_do_not_count_what_the_one_before_has(keeper: Telemetry) -> None:
    keeper.take("metrics", tokens("input", 100, at_s=1))
    keeper.sweep(SILENT_S)
    keeper.take("metrics", tokens("input", 7, at_s=4000))
    keeper.take("metrics", tokens("input", 7, at_s=4000))
    assert [run.usage.input_tokens for run in keeper.runs() if run.usage] == [100, 7]


def test_a_session_whose_run_was_deleted_gets_another(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(at_s=0)))
    (run,) = keeper.runs()
    keeper.write(lambda tx: tx.runs.delete(run))
    keeper.take("logs", logs(turn(at_s=1)))
    (other,) = keeper.runs()
    assert other.id != run.id
    assert other.parent_id is None


def test_two_agents_may_use_the_same_session_id(keeper: Telemetry) -> None:
    answer = log(
        "qwen-code.api_response", input_token_count=5, output_token_count=6, total_token_count=11
    )
    keeper.take("logs", logs(turn()))
    keeper.take("logs", logs(answer, service="qwen-code"))
    assert {run.agent_type for run in keeper.runs()} == {"claude-code", "qwen-code"}


def test_a_result_that_comes_before_its_beginning_is_one_call(keeper: Telemetry) -> None:
    call: dict[str, Any] = {"tool_name": "Bash", "tool_use_id": "t1"}
    ended = log("tool_result", at_s=9, success="true", duration_ms="4000", **call)
    keeper.take("logs", logs(ended))
    keeper.take("logs", logs(log("tool_decision", at_s=5, decision="accept", **call)))
    (run,) = keeper.runs()
    assert (run.tool_calls, run.tool_failures, run.open_tools) == (1, 0, 0)
    step = keeper.read(lambda tx: tx.runs.steps(run.id, after_n=None, before_n=None, limit=9))[0]
    assert step.ended_us is not None
    assert step.ended_us - step.started_us == 4 * SECOND_US


def test_a_tool_under_way_is_open_until_its_result(keeper: Telemetry) -> None:
    call: dict[str, Any] = {"tool_name": "Bash", "tool_use_id": "t1"}
    keeper.take("logs", logs(log("tool_decision", decision="accept", **call)))
    assert keeper.runs()[0].open_tools == 1
    keeper.take("logs", logs(log("tool_result", at_s=1, success="false", **call)))
    (run,) = keeper.runs()
    assert (run.tool_calls, run.tool_failures, run.open_tools) == (1, 1, 0)


def test_calls_whose_input_is_not_kept_are_no_loop(keeper: Telemetry) -> None:
    results = [
        log("tool_result", at_s=n, tool_name="Bash", tool_use_id=f"t{n}", success="true")
        for n in range(12)
    ]
    keeper.take("logs", logs(*results))
    (run,) = keeper.runs()
    assert (run.tool_calls, run.looping) == (12, None)


def test_a_tool_that_was_not_allowed_is_no_call(keeper: Telemetry) -> None:
    keeper.take("logs", logs(log("tool_decision", decision="reject", tool_name="Bash")))
    (run,) = keeper.runs()
    assert run.tool_calls == 0
    assert run.activity_text == "warning: Bash was not allowed (unknown)"


def test_sub_agents_have_lanes_with_usage_of_their_own(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(at_s=0), turn(at_s=1, query_source="subagent")))
    (run,) = keeper.runs()
    lanes = keeper.read(lambda tx: tx.runs.fold(run.id)).lanes
    assert set(lanes) == {"subagent"}
    assert lanes["subagent"].usage is not None
    assert lanes["subagent"].usage.output_tokens == 20


def test_only_the_newest_records_are_remembered(
    keeper: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_SEEN", 50)
    monkeypatch.setattr(memory, "FORGET_EVERY", 10)
    for start in range(0, 200, 20):
        keeper.take("logs", logs(*(turn(at_s=n) for n in range(start, start + 20))))
    (again,) = keeper.take("logs", logs(*(turn(at_s=n) for n in range(150, 200))))
    assert (again.stored, again.duplicates) == (0, 50)
    seen = keeper.session().seen
    assert seen == 200
    (old,) = keeper.take("logs", logs(turn(at_s=0)))
    assert old.stored == 1


def test_what_nobody_hears_of_any_more_is_forgotten(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn()))
    before_us = keeper.now_us + SILENT_S * SECOND_US
    assert keeper.write(lambda tx: tx.telemetry.prune(before_us, limit=10)) == 0
    keeper.sweep(SILENT_S)
    assert keeper.write(lambda tx: tx.telemetry.prune(before_us, limit=10)) == 1
    assert keeper.write(lambda tx: tx.telemetry.get("claude-code", "x")) is None


def test_a_node_cannot_tell_of_another_nodes_session(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn(at_s=0)), by=node("n1"))
    (refused,) = keeper.take("logs", logs(turn(at_s=1)), by=node("n2"))
    assert (refused.rejected, refused.stored) == (1, 0)
    (run,) = keeper.runs()
    assert run.usage is not None
    assert run.usage.input_tokens == 10
    (taken,) = keeper.take("logs", logs(turn(at_s=1)))
    assert taken.stored == 1


def test_an_ended_session_is_looked_at_no_more(keeper: Telemetry) -> None:
    keeper.take("logs", logs(turn()))
    assert keeper.session().due_us is not None
    keeper.sweep(SILENT_S)
    assert is_terminal(keeper.runs()[0].status)
    assert keeper.session().due_us is None
