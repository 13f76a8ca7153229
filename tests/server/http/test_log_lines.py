"""What requests leave in the log: tags and facts, and one line a record whatever they hold."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from runwatch_shared.logs import LogFormat, configure_logging
from runwatch_shared.logtags import SERVER_NOTES
from runwatch_shared.text import has_control
from tests.server.http.house import House, event
from tests.shared.hostile import HOSTILE

TEXT_LINE = re.compile(r"\S+Z (?:debug|info|warning|error) \[([a-z_.]+)\] .+")
ALWAYS = {"time", "level", "tag", "message", "request_id", "trace_id", "traceback"}


class Log:
    """The log as it is written, formats and all."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def begin(self, log_format: LogFormat) -> None:
        configure_logging(log_format, "debug", stream=self.stream)

    def lines(self) -> list[str]:
        return self.stream.getvalue().split("\n")[:-1]

    def records(self, tag: str) -> list[dict[str, Any]]:
        return [one for one in map(json.loads, self.lines()) if one["tag"] == tag]


@pytest.fixture
def log() -> Iterator[Log]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Log()
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_requests_of_every_kind_write_their_tags_with_their_facts(
    house: House, log: Log
) -> None:
    log.begin("json")
    run_id, epoch = await house.held_run()
    batch = {"epoch": epoch, "events": [event(1, "run_started"), event(5)]}
    await house.make(f"/api/v1/runs/{run_id}/events", batch, who="node")
    refused = {"epoch": epoch, "events": [event(5, text="another")]}
    await house.send("POST", f"/api/v1/runs/{run_id}/events", body=refused, who="node")
    stale = {"epoch": epoch + 1, "events": [event(6)]}
    await house.send("POST", f"/api/v1/runs/{run_id}/events", body=stale, who="node")
    await house.send("POST", "/api/v1/tasks/task-000000000000/runs", body={})
    task = await house.task()
    await house.send("POST", f"/api/v1/tasks/{task['id']}/runs", body={"node_id": "n 1"})
    await house.make(f"/api/v1/runs/{run_id}/cancel")
    await house.make("/api/v1/nodes/node-1/drain")
    await house.send("POST", "/api/v1/tasks", who="viewer", body={})
    await house.send("POST", "/api/v1/auth/login", body={"email": "a@b.c", "password": "x"})

    (taken,) = log.records("events")
    assert (taken["run_id"], taken["count"], taken["last_seq"]) == (run_id, 2, 5)
    assert taken["level"] == "debug"
    assert [one["code"] for one in log.records("events.refused")] == ["seq_conflict", "lease_lost"]
    (fenced,) = log.records("lease.fenced")
    assert (fenced["epoch"], fenced["current_epoch"]) == (epoch + 1, epoch)
    (gap,) = log.records("events.gap")
    assert gap["count"] == 3
    (missing,) = log.records("run.create.task.not_found")
    assert (missing["task_id"], missing["code"]) == ("task-000000000000", "not_found")
    rounds = [one for one in log.records("scheduler") if "assigned" in one]
    assert max(one["assigned"] for one in rounds) == 1
    assert {one["event"] for one in log.records("auth")} == {"denied", "login_failed"}
    for tag in ("run.create.start", "run.create.complete", "run.claim", "run.status"):
        assert all(one["request_id"] for one in log.records(tag) if "by" in one), tag
    written = [json.loads(line) for line in log.lines()]
    assert len({one["tag"] for one in written}) > 12
    for one in written:
        facts = set(SERVER_NOTES[one["tag"]].facts.split())
        assert set(one) - facts - ALWAYS == set(), one
        assert one["level"] in SERVER_NOTES[one["tag"]].levels.split(), one


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_nothing_that_is_sent_forges_a_line(
    house: House, log: Log, log_format: LogFormat
) -> None:
    log.begin(log_format)
    # A lone surrogate is no text that can be sent.
    corpus = [text for text in HOSTILE if not re.search("[\ud800-\udfff]", text)][::3]
    for text in corpus:
        forged = f"{text}\n2026-11-24T00:00:00.000000Z error [server] forged\r\n{text}"
        await house.send("POST", "/api/v1/auth/login", body={"email": forged, "password": forged})
        await house.send("POST", "/api/v1/auth/tokens", body={"name": forged, "scope": "viewer"})
        await house.send("POST", "/api/v1/tasks", body={"name": forged, "labels": {"a": forged}})
        await house.send(
            "DELETE",
            f"/api/v1/runs/{quote(forged, safe='')}",
            who="viewer",
            headers={"X-Request-ID": "bad id\t[server]"},
        )
    lines = log.lines()
    assert len(lines) >= len(corpus)
    assert not any(has_control(line) for line in lines)
    assert not any(re.match(r"\S+Z error \[server\] forged", line) for line in lines)
    assert not any('"request_id": "bad id' in line for line in lines)
    for line in lines:
        if log_format == "json":
            assert set(json.loads(line)) >= {"time", "level", "tag", "message"}
        else:
            assert TEXT_LINE.fullmatch(line), line
