"""Real servers and nodes as processes of a test: started on free ports, killed by id, never left.

Used where the process itself is the subject (end to end, faults, packaging); everything else is
tested in process.
"""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BIN = Path(sys.executable).parent
START_LIMIT_S = 20.0
STOP_LIMIT_S = 20.0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(condition: Callable[[], Any], what: str, limit_s: float = 5.0) -> Any:
    """The first true value of a condition, polled; fails the test at the limit."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


def clean_environment(data_dir: Path) -> dict[str, str]:
    """The environment of a fresh user: no setting of Runwatch but the data directory."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNWATCH_", "XDG_", "NODE_TOKEN", "JWT_", "ADMIN_"))
    }
    environment["RUNWATCH_DATA_DIR"] = str(data_dir)
    environment["XDG_CONFIG_HOME"] = str(data_dir / "config")
    environment["XDG_DATA_HOME"] = str(data_dir / "xdg")
    environment["RUNWATCH_SESSIONS"] = "false"  # those of whoever runs the tests are their own
    return environment


class ManagedProcess:
    """One program of ours, with what it prints kept in a file."""

    def __init__(self, name: str, command: list[str], data_dir: Path) -> None:
        self.name = name
        self.command = command
        self.data_dir = data_dir
        self.log_file = data_dir / f"{name}.log"
        self.environment = clean_environment(data_dir)
        # Draining is for load balancers; a test has none.
        self.environment["RUNWATCH_DRAIN_S"] = "0.2"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the program; its output is appended to the log file."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        return self

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_LIMIT_S)

    def stop(self) -> int:
        """SIGTERM and its exit status; SIGKILL past the limit fails the test."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop: {self.log()[-2000:]}") from None

    def log(self) -> str:
        """Everything printed so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            # What began and was not ready in time is not left running.
            if self.running:
                self.kill()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            with contextlib.suppress(AssertionError):
                self.stop()
        if error is not None:
            error.add_note(f"--- {self.name} ---\n{self.log()[-4000:]}")


class ServerProcess(ManagedProcess):
    """`monitor-server serve` over HTTPS on one port, which a restart keeps."""

    def __init__(
        self, data_dir: Path, *flags: str, port: int | None = None, database: str | None = None
    ) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.ready_file = data_dir / "ready"
        command = [
            str(BIN / "monitor-server"),
            "serve",
            "--port",
            str(self.port),
            "--ready-file",
            str(self.ready_file),
            *flags,
        ]
        super().__init__("server", command, data_dir)
        if database is not None:
            self.environment["RUNWATCH_DATABASE_URL"] = database

    @property
    def url(self) -> str:
        return self.ready_file.read_text().strip()

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    def start(self) -> Self:
        self.ready_file.unlink(missing_ok=True)
        super().start()
        wait_until(
            lambda: self.ready_file.exists() or not self.running, "the server", START_LIMIT_S
        )
        assert self.running, self.log()
        return self

    def tls(self) -> ssl.SSLContext:
        """Trusts this server's own CA and nothing else."""
        return ssl.create_default_context(cafile=self.data_dir / "tls" / "ca.pem")

    def request(
        self, method: str, path: str, body: object = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body of one request, as an administrator unless told otherwise."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {token or self.token}",
                "Content-Type": "application/json",
            },
        )
        trusted = self.tls() if self.url.startswith("https:") else None
        try:
            with urllib.request.urlopen(request, timeout=10, context=trusted) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path: str) -> Any:
        """The body of a GET that must succeed."""
        status, body = self.request("GET", path)
        assert status == 200, (path, status, body)
        return body

    def post(self, path: str, body: object = None) -> Any:
        """The body of a POST that must succeed."""
        status, answer = self.request("POST", path, body)
        assert status in {200, 201}, (path, status, answer)
        return answer

    def make_run(self, argv: list[str], name: str = "a command", **task: Any) -> str:
        """The id of a new run of a command."""
        agent = {"type": "command", "parameters": {"argv": argv}}
        made = self.post("/api/v1/tasks", {"name": name, "agent": agent, **task})
        run = self.post(f"/api/v1/tasks/{made['id']}/runs")
        return str(run["id"])

    def wait_for_run(self, run_id: str, *statuses: str, limit_s: float = 20.0) -> Any:
        """The run once it has one of the statuses."""

        def arrived() -> Any:
            run = self.get(f"/api/v1/runs/{run_id}")
            return run if run["status"] in statuses else None

        return wait_until(arrived, f"{run_id} to be {statuses}", limit_s)

    def events(self, run_id: str, after: int = 0) -> list[dict[str, Any]]:
        """Every stored event of a run behind a number, page by page."""
        events: list[dict[str, Any]] = []
        seq: int | None = after
        while seq is not None:
            page = self.get(f"/api/v1/runs/{run_id}/events?after_seq={seq}&limit=1000")
            events += page["events"]
            seq = page["next_from_seq"]
        return events


class NodeProcess(ManagedProcess):
    """`nodemanager run` against a server, which finds its CA and token in the data directory."""

    def __init__(self, server: ServerProcess, *flags: str, node_id: str = "n1") -> None:
        self.metrics_port = free_port()
        command = [
            str(BIN / "nodemanager"),
            "run",
            "--server",
            f"https://127.0.0.1:{server.port}",
            "--node-id",
            node_id,
            "--metrics-port",
            str(self.metrics_port),
            *flags,
        ]
        super().__init__(f"node-{node_id}", command, server.data_dir)
        self.server = server
        self.node_id = node_id

    def start(self) -> Self:
        super().start()
        wait_until(self._registered, f"node {self.node_id}", START_LIMIT_S)
        return self

    def _registered(self) -> bool:
        assert self.running, self.log()
        status, node = self.server.request("GET", f"/api/v1/nodes/{self.node_id}")
        return status == 200 and node["status"] == "online"


@contextlib.contextmanager
def fleet(data_dir: Path, *node_flags: str) -> Iterator[tuple[ServerProcess, NodeProcess]]:
    """A server and one node, both ended afterwards."""
    with ServerProcess(data_dir) as server, NodeProcess(server, *node_flags) as node:
        yield server, node
