"""What generated calls refer to: a fleet made beforehand, and every id an answer named since.

A generated id is almost never one that exists; with these most calls get past the look-up.
"""

import re
from collections import deque
from random import Random
from typing import Any, Final

from tests.processes import ServerProcess

NODES: Final = ("node-1", "node-2", "node-3")
EVENT: Final = {"type": "message", "timestamp": "2026-11-23T10:31:22Z", "payload": {"content": "x"}}
MOST_KEPT: Final = 200
STEERED: Final = 0.75
"""The part of values that is taken from what is known."""

_MADE: Final = re.compile(rb'"((task|run|op|act|proxy|term|agent)-[0-9a-f]{12})"')
_KIND_OF_SEGMENT: Final = {
    "tasks": "task",
    "runs": "run",
    "nodes": "node",
    "tokens": "token",
    "operations": "op",
    "actions": "act",
    "proxies": "proxy",
    "agents": "agent",
    "instances": "agent",
    "accounts": "account",
    "agent-types": "agent_type",
    "workflows": "workflow_type",
}
_KIND_OF_FIELD: Final = {
    "node_id": "node",
    "process_id": "process",
    "parent_id": "task",
    "account_id": "account",
    "proxy_id": "proxy",
    "agent_type": "agent_type",
    "timestamp": "moment",
    "started_at": "moment",
    "time": "moment",
    "since": "moment",
    "until": "moment",
    "oldest_at": "moment",
    "expires_at": "moment",
    "epoch": "epoch",
}


class Known:
    """Values by what they name; the newest `MOST_KEPT` of each kind."""

    def __init__(self) -> None:
        self._values: dict[str, deque[Any]] = {
            "node": deque(NODES),
            "process": deque(("p1", "p2")),
            "account": deque(("claude-code_main",)),
            "agent_type": deque(("claude-code", "openai-codex", "command", "general")),
            "workflow_type": deque(("run", "run", "run", "auth")),
            "moment": deque(("2026-11-23T10:31:22Z", "2026-11-23T12:31:22.5+02:00")),
            "epoch": deque((1, 1, 2)),
        }

    def read(self, body: bytes) -> None:
        """Remember the ids of an answer."""
        for text, kind in _MADE.findall(body[:65_536]):
            self.add(kind.decode(), text.decode())

    def add(self, kind: str, value: Any) -> None:
        kept = self._values.setdefault(kind, deque(maxlen=MOST_KEPT))
        if value not in kept:
            kept.append(value)

    def in_path(self, path: str, name: str, rng: Random) -> Any | None:
        """A value for a variable of a path template; None to keep the generated one."""
        before = path.partition(f"{{{name}}}")[0].strip("/").split("/")
        segment = before[-1]
        if segment == "{type}":
            return self._one("run", rng)
        return self._one(_KIND_OF_SEGMENT.get(segment, ""), rng)

    def steer(self, value: Any, rng: Random) -> Any:
        """A generated body, with what exists in the fields that name something."""
        if isinstance(value, list):
            return [self.steer(item, rng) for item in value]
        if not isinstance(value, dict):
            return value
        steered = {name: self.steer(item, rng) for name, item in value.items()}
        for name, item in value.items():
            if isinstance(item, str | int) and name in _KIND_OF_FIELD:
                found = self._one(_KIND_OF_FIELD[name], rng)
                steered[name] = steered[name] if found is None else found
        return steered

    def _one(self, kind: str, rng: Random) -> Any | None:
        values = self._values.get(kind)
        return rng.choice(values) if values and rng.random() < STEERED else None


def settle(server: ServerProcess, known: Known) -> None:
    """Nodes with room, runs in every standing, and tokens that may be deleted."""
    for node_id in NODES:
        # Refused where a generated process has taken the node meanwhile.
        server.request(
            "POST",
            "/api/v1/nodes/heartbeat",
            {
                "node_id": node_id,
                "process_id": "p1",
                "started_at": "2026-11-23T10:00:00Z",
                "capacity": {"max_concurrent": 64},
            },
        )
    for number in range(12):
        task = server.post(
            "/api/v1/tasks",
            {
                "name": f"task {number}",
                "agent": {"type": "command", "parameters": {"argv": ["true"]}},
                "labels": {"team": "a", "number": str(number)},
                "constraints": {"node_id": NODES[number % 3]} if number % 2 else None,
            },
        )
        run = server.post(f"/api/v1/tasks/{task['id']}/runs")
        known.add("task", task["id"])
        known.add("run", run["id"])
        if number % 2 == 0:
            events = [{**EVENT, "seq": seq} for seq in range(1, 20)]
            server.request("POST", f"/api/v1/runs/{run['id']}/events", {"events": events})
    for number in range(6):
        token = server.post("/api/v1/auth/tokens", {"name": f"spare {number}", "scope": "viewer"})
        known.add("token", token["id"])
