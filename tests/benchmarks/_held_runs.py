"""A real server and a node that only registers and claims, so that a benchmark may report for
it.
"""

import json
from pathlib import Path
from typing import Final

from tests.processes import ServerProcess, wait_until

LIMITS: Final = {"writes_per_s": 10_000, "writes_burst": 10_000}
"""Tasks and runs are made as fast as they can be; that is not what is measured."""


class HeldRuns:
    """The server is started here; whoever makes this stops it."""

    def __init__(
        self, folder: Path, *flags: str, database: str | None = None, **settings: str
    ) -> None:
        self.server = ServerProcess(folder, *flags, database=database)
        self.server.environment["RUNWATCH_LIMITS"] = json.dumps(LIMITS)
        self.server.environment.update(settings)
        self.server.start()
        try:
            self.beat()
        except BaseException:
            self.server.kill()
            raise

    @property
    def node_token(self) -> str:
        """What the node reports with."""
        return (self.server.data_dir / "node-token").read_text().strip()

    def beat(self) -> None:
        """The node's heartbeat."""
        body = {
            "node_id": "bench",
            "process_id": "p1",
            "started_at": "2026-11-23T10:00:00Z",
            "capacity": {"max_concurrent": 100_000},
        }
        path = "/api/v1/nodes/heartbeat"
        status, answer = self.server.request("POST", path, body, token=self.node_token)
        assert status == 200, answer

    def task(self) -> str:
        """A new task's id."""
        return str(self.server.post("/api/v1/tasks", {"name": "load", "prompt": "x"})["id"])

    def run(self, task_id: str) -> str:
        """A new run the node has claimed under epoch 1."""
        run_id = str(self.server.post(f"/api/v1/tasks/{task_id}/runs")["id"])
        claim = {"node_id": "bench", "process_id": "p1"}
        path = f"/api/v1/runs/{run_id}/claim"

        def claimed() -> bool:
            return self.server.request("POST", path, claim, token=self.node_token)[0] == 200

        wait_until(claimed, "the claim", 10)
        return run_id
