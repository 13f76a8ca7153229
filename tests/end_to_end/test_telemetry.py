"""Telemetry of the four agents into a real server over HTTPS, which is killed in between."""

import gzip
import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ServerProcess
from tests.server.otlp.making import AGENTS, Body, in_protobuf, recorded
from tests.server.otlp.stage import tokens_of
from tests.server.otlp.test_recordings import OWN_TOTALS

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "server") as server:
        yield server


def export(server: ServerProcess, signal: str, body: Body, *, protobuf: bool) -> None:
    """What an exporter does: a packed POST under the node's token."""
    content = in_protobuf(signal, body) if protobuf else json.dumps(body).encode()
    kind = "x-protobuf" if protobuf else "json"
    token = (server.data_dir / "node-token").read_text().strip()
    request = urllib.request.Request(
        f"{server.url}/v1/{signal}",
        method="POST",
        data=gzip.compress(content),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": f"application/{kind}",
            "Content-Encoding": "gzip",
        },
    )
    trusted: ssl.SSLContext = server.tls()
    with urllib.request.urlopen(request, timeout=20, context=trusted) as answer:
        assert answer.read() == (b"" if protobuf else b"{}")


def shown(server: ServerProcess) -> dict[str, Any]:
    """Runs by agent type, and what they count."""
    rows = server.get("/api/v1/monitor/workflows")["workflows"]
    runs = [server.get(f"/api/v1/runs/{row['id']}") for row in rows]
    assert len({run["agent_type"] for run in runs}) == len(runs)
    return {
        run["agent_type"]: (tokens_of(run), run["tool_calls"], run["tool_failures"]) for run in runs
    }


def test_nothing_doubles_or_is_lost_when_the_server_is_killed_and_all_is_sent_again(
    server: ServerProcess,
) -> None:
    bodies = [
        (signal, body)
        for agent in AGENTS
        for signal in ("logs", "metrics")
        for body in recorded(agent, signal)
    ]
    for signal, body in bodies[: len(bodies) // 2]:
        export(server, signal, body, protobuf=False)
    server.kill()
    server.start()
    for signal, body in bodies:
        export(server, signal, body, protobuf=True)
    own = {kind: OWN_TOTALS[agent](recorded(agent, "logs")) for agent, kind in AGENTS.items()}
    assert shown(server) == own
    server.kill()
    server.start()
    for signal, body in reversed(bodies):
        export(server, signal, body, protobuf=False)
    assert shown(server) == own
