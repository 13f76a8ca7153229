"""What the log says about runs and nodes (contract 16), written from commits."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from runwatch_server import fleet_log
from tests.server.fleet.pier import Pier


@pytest.fixture
def logged(
    pier: Pier, caplog: pytest.LogCaptureFixture
) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """(tag, facts) of the lines, in order."""
    lines: list[tuple[str, dict[str, Any]]] = []

    class Taking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            facts = getattr(record, "facts", {})
            lines.append(
                (
                    getattr(record, "tag", ""),
                    {key: value for key, value in facts.items() if value is not None},
                )
            )

    taking = Taking()
    fleet_log.logger.addHandler(taking)
    caplog.set_level(logging.INFO, logger=fleet_log.logger.name)
    pier.listeners.append(fleet_log.on_commit)
    yield lines
    fleet_log.logger.removeHandler(taking)


Lines = list[tuple[str, dict[str, Any]]]


def test_a_run_is_followed_from_its_assignment_to_its_end(pier: Pier, logged: Lines) -> None:
    pier.beat()
    run = pier.queued_run()
    pier.wait(2)
    pier.place()
    pier.claim(run)
    pier.append(run, "run_started", epoch=1)
    pier.end(run, "failed")
    assert logged[0] == ("scheduler", {"run_id": run.id, "node_id": "n1", "queue_wait_ms": 2000})
    changes = [(facts["from_"], facts["to"]) for tag, facts in logged if tag == "run.status"]
    assert changes == [("queued", "assigned"), ("assigned", "running"), ("running", "failed")]


def test_what_is_lost_is_said_with_its_reason(pier: Pier, logged: Lines) -> None:
    pier.beat()
    run = pier.running(retry_on_lost=True)
    unclaimed = pier.assigned()
    pier.later(45)
    pier.later(15)
    told = {(tag, facts.get("reason"), facts.get("outcome")) for tag, facts in logged}
    assert ("lease.expired", None, "to be queued again") in told
    assert ("run.lost", "unclaimed", "requeued") in told
    assert ("run.lost", "node_lost", "requeued") in told
    assert [facts["node_id"] for tag, facts in logged if tag == "node.heartbeat"] == ["n1"]
    lost = [facts["run_id"] for tag, facts in logged if tag == "run.lost"]
    assert lost == [unclaimed.id, run.id]


def test_health_and_the_servers_own_cancels_are_said(pier: Pier, logged: Lines) -> None:
    pier.beat()
    run = pier.running(timeout_s=400)
    for _ in range(10):
        pier.wait(40)
        pier.beat(runs=[run])
        pier.sweep()
    health = [facts for tag, facts in logged if tag == "health"]
    assert [(facts["previous"], facts["health"]) for facts in health] == [("ok", "stalled")]
    cancels = [facts for tag, facts in logged if tag == "run.cancel"]
    assert [(facts["reason"], facts["by"]) for facts in cancels] == [("timeout", "server")]


def test_a_beat_that_says_nothing_new_is_not_said(pier: Pier, logged: Lines) -> None:
    pier.beat()
    pier.wait(10)
    pier.beat()
    assert logged == []
