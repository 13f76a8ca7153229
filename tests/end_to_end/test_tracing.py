"""A traced server sends its spans to a collector by OTLP: of requests, commits, statements and
passes of the scheduler, joined to the trace a request brought, and nothing of what was stored.
"""

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.processes import ServerProcess, free_port, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
CANARY = "canary-5d0c8f1b"
LIMIT_S = 30.0
ATTRIBUTES = {
    "db.collection.name",
    "db.operation.name",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "runwatch.assigned",
    "runwatch.events",
    "runwatch.request_id",
    "runwatch.works",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Collector:
    """Takes what is posted to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.bodies: list[bytes] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.bodies.append(body)
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {each.key: each.value.string_value for each in part.resource.attributes}
            self.services.add(told["service.name"])
            self.spans += [span for scope in part.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join(5)


def make_traced_run(server: ServerProcess, flags: str = "01") -> None:
    """A run whose request is part of a trace."""
    agent = {"type": "command", "parameters": {"argv": [CANARY]}}
    task = server.post("/api/v1/tasks", {"name": CANARY, "agent": agent})
    request = urllib.request.Request(
        f"{server.url}/api/v1/tasks/{task['id']}/runs?x={CANARY}",
        data=b"{}",
        headers={
            "Authorization": f"Bearer {server.token}",
            "Content-Type": "application/json",
            "X-Request-ID": "known-request",
            "User-Agent": CANARY,
            "traceparent": f"00-{TRACE}-{PARENT}-{flags}",
        },
    )
    with urllib.request.urlopen(request, timeout=10, context=server.tls()) as answer:
        assert answer.status == 201


def traced(data_dir: Path, endpoint: str, **settings: str) -> ServerProcess:
    server = ServerProcess(data_dir, "--log-format", "json")
    server.environment["RUNWATCH_TRACE_ENDPOINT"] = endpoint
    server.environment |= settings
    return server


def test_a_request_is_followed_to_its_commit_and_the_statements_in_it(
    tmp_path: Path, collector: Collector
) -> None:
    with traced(tmp_path / "data", collector.endpoint) as server:
        make_traced_run(server)
        server.make_run(["true"])
        assert server.request("GET", "/api/v1/runs/run-000000000000")[0] == 404
        server.request("GET", "/livez")
        assert server.stop() == 0
        log = server.log()
    assert collector.services == {"runwatch-server"}
    route = "POST /api/v1/tasks/{id}/runs"
    (request,) = [span for span in collector.named(route) if span.trace_id.hex() == TRACE]
    assert request.parent_span_id.hex() == PARENT
    told = {each.key: each.value for each in request.attributes}
    assert told["http.response.status_code"].int_value == 201
    assert told["runwatch.request_id"].string_value == "known-request"
    of_trace = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    children = {
        (parent.name, span.name)
        for parent in of_trace
        for span in of_trace
        if span.parent_span_id == parent.span_id
    }
    assert (route, "store.write") in children
    assert ("store.write", "store.commit") in children
    assert any(parent == "store.commit" and " " in name for parent, name in children), children
    assert collector.named("GET /api/v1/runs/{id}")
    assert collector.named("scheduler.pass")
    assert not [span for span in collector.spans if "livez" in span.name]
    for span in collector.spans:
        assert {each.key for each in span.attributes} <= ATTRIBUTES
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    for body in collector.bodies:
        assert CANARY.encode() not in body
        assert server.token.encode() not in body
    assert f'"trace_id": "{TRACE}"' in log


def test_who_asks_not_to_be_sampled_is_not_and_a_share_of_nothing_sends_nothing(
    tmp_path: Path, collector: Collector
) -> None:
    with traced(tmp_path / "data", collector.endpoint, RUNWATCH_TRACE_SHARE="0") as server:
        make_traced_run(server, flags="00")
        server.make_run(["true"])
        assert server.stop() == 0
    assert collector.spans == []


def test_a_collector_that_is_away_costs_nobody_an_answer(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}/v1/traces"
    with traced(tmp_path / "data", endpoint) as server:
        for _ in range(20):
            server.make_run(["true"])
        wait_until(
            lambda: "opentelemetry" in server.log() or "export" in server.log(), "it", LIMIT_S
        )
        assert server.stop() == 0
        assert all(line.startswith("{") for line in server.log().splitlines())


def test_an_untraced_server_loads_nothing_of_it() -> None:
    program = (
        "import sys, runwatch_server.cli, runwatch_server.serving\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout == "[]\n"
