"""The load balancers' examples in front of two real servers that are restarted one by one."""

import contextlib
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

from tests.end_to_end.test_two_servers import two
from tests.postgres import Cluster
from tests.processes import ServerProcess, free_port, wait_until

DEPLOYMENTS: Final = Path(__file__).resolve().parents[2] / "deployments"
PORTS: Final = ("10.0.0.11:8080", "10.0.0.12:8080")
LIMIT_S: Final = 20.0


@contextlib.contextmanager
def nginx(folder: Path, port: int, servers: tuple[ServerProcess, ServerProcess]) -> Iterator[None]:
    text = (DEPLOYMENTS / "nginx" / "runwatch.conf").read_text()
    text = _placed(text, folder, servers).replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    (folder / "runwatch.conf").write_text(text)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; daemon off; worker_processes 1;"
        f"events {{}} http {{ access_log off; {temporary} include {folder}/runwatch.conf; }}"
    )
    with _program("nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")):
        yield


@contextlib.contextmanager
def haproxy(
    folder: Path, port: int, servers: tuple[ServerProcess, ServerProcess]
) -> Iterator[None]:
    text = (DEPLOYMENTS / "haproxy" / "runwatch.cfg").read_text()
    text = _placed(text, folder, servers).replace("bind :443", f"bind 127.0.0.1:{port}")
    (folder / "haproxy.cfg").write_text(text)
    with _program("haproxy", "-db", "-q", "-f", str(folder / "haproxy.cfg")):
        yield


def _placed(text: str, folder: Path, servers: tuple[ServerProcess, ServerProcess]) -> str:
    """An example with the addresses and files of here in the place of its own."""
    first = servers[0].data_dir / "tls"
    shutil.copy(first / "cert.pem", folder / "fullchain.pem")
    shutil.copy(first / "key.pem", folder / "privkey.pem")
    (folder / "runwatch.pem").write_bytes(
        (first / "cert.pem").read_bytes() + (first / "key.pem").read_bytes()
    )
    (folder / "ca.pem").write_bytes(
        b"".join((server.data_dir / "tls" / "ca.pem").read_bytes() for server in servers)
    )
    for address, server in zip(PORTS, servers, strict=True):
        assert address in text
        text = text.replace(address, f"127.0.0.1:{server.port}")
    return text.replace("/etc/runwatch/", f"{folder}/")


@contextlib.contextmanager
def _program(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(LIMIT_S)


BALANCERS: Final = {"nginx": nginx, "haproxy": haproxy}


class Asking:
    """A client that lists and makes runs all the time, each request once more where it fails."""

    def __init__(self, url: str, trusted: ssl.SSLContext, token: str, task_id: str) -> None:
        self._url = url
        self._trusted = trusted
        self._headers = {"Authorization": f"Bearer {token}"}
        self._task_id = task_id
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.made = 0
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        with httpx.Client(verify=self._trusted, headers=self._headers, trust_env=False) as client:
            while not self._over.wait(0.02):
                self.made += 1
                key = {"Idempotency-Key": f"run-{self.made}"}
                self._ask(lambda: client.get(f"{self._url}/monitor/workflows?limit=5"))
                self._ask(
                    lambda: client.post(f"{self._url}/tasks/{self._task_id}/runs", headers=key)  # noqa: B023
                )

    def _ask(self, send: Callable[[], httpx.Response]) -> None:
        first = _failure_of(send)
        if first is not None:
            time.sleep(0.5)  # as a client waits before it tries again
            again = _failure_of(send)
            if again is not None:
                self.failed.append(f"{first}, then {again}")


def _failure_of(send: Callable[[], httpx.Response]) -> str | None:
    try:
        answer = send()
    except httpx.TransportError as error:
        return repr(error)
    return None if answer.status_code < 400 else f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", BALANCERS)
def test_servers_are_restarted_one_by_one_and_no_request_fails_twice(
    tmp_path: Path, postgres_cluster: Cluster, name: str
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    port = free_port()
    agent = {"type": "command", "parameters": {"argv": ["true"]}}
    with two(tmp_path, postgres_cluster.database()) as servers:
        task = servers[0].post("/api/v1/tasks", {"name": "t", "agent": agent})
        trusted = servers[0].tls()
        url = f"https://localhost:{port}/api/v1"
        with BALANCERS[name](tmp_path, port, servers):
            wait_until(lambda: _answers(port, trusted), name, LIMIT_S)
            with Asking(url, trusted, servers[0].token, task["id"]) as asking:
                for server in servers:
                    before = asking.made
                    wait_until(lambda: asking.made > before + 5, "requests", LIMIT_S)  # noqa: B023
                    server.stop()
                    server.start()
        made = servers[1].get(f"/api/v1/tasks/{task['id']}")["runs"]["total"]
    assert asking.failed == []
    assert made == asking.made


def _answers(port: int, trusted: ssl.SSLContext) -> bool:
    with httpx.Client(verify=trusted, trust_env=False) as client:
        try:
            return client.get(f"https://localhost:{port}/readyz").status_code == 200
        except httpx.TransportError:
            return False
