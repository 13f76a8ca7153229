"""A secret printed in all spellings, in pieces: nothing that a server or node keeps or says has it.

A second one, which the settings exempt, shows that it would be found.
"""

import asyncio
import contextlib
import os
import secrets
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Self

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests import canaries
from tests.processes import NodeProcess, ServerProcess, wait_until

OPEN_S = 60.0


class Listener:
    """Everything a socket of the server sends while the block runs, kept as it comes."""

    def __init__(self, server: ServerProcess, path: str) -> None:
        self._url = server.url.replace("https:", "wss:") + path
        self._tls = server.tls()
        self._headers = {"Authorization": f"Bearer {server.token}"}
        self._frames: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    @property
    def said(self) -> bytes:
        return b"".join(self._frames)

    def _listen(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        # Not the library's client of threads: with TLS it reads and writes at once, which Python's
        # sockets bear from 3.13 on only (https://github.com/python/cpython/issues/124984).
        dial = connect(
            self._url,
            ssl=self._tls,
            additional_headers=self._headers,
            max_size=None,
            open_timeout=OPEN_S,
            proxy=None,
        )
        with contextlib.suppress(ConnectionClosed):
            async with dial as socket:
                while not self._over.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            frame = await socket.recv()
                            self._frames.append(frame.encode() if isinstance(frame, str) else frame)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=20)


def kept(folder: Path) -> dict[str, bytes]:
    """Every file below the folder: databases, logs, spools."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def text_of(url: str, server: ServerProcess | None = None) -> bytes:
    request = urllib.request.Request(url)
    if server is not None:
        request.add_header("Authorization", f"Bearer {server.token}")
    trusted = None if server is None else server.tls()
    with urllib.request.urlopen(request, timeout=20, context=trusted) as answer:
        found: bytes = answer.read()
    return found


@pytest.mark.timeout(120)
def test_a_secret_in_all_spellings_is_in_no_spool_database_socket_log_or_metric(
    tmp_path: Path,
) -> None:
    secret = f"{canaries.CANARY}{secrets.token_urlsafe(12)}"
    control = f"control-{secrets.token_hex(12)}"
    gate = tmp_path / "gate"
    seed = os.environ.get("RUNWATCH_TEST_SEED", secrets.token_hex(4))
    server = ServerProcess(tmp_path / "data", "--log-level", "debug")
    node = NodeProcess(server, "--stop-agents", "--log-level", "debug")
    node.environment["RUNWATCH_REDACT_EXCEPT"] = "SHOWN"
    argv = [sys.executable, canaries.__file__, seed, str(gate)]
    said: dict[str, bytes] = {}
    with server, node, Listener(server, "/ws/monitor?mode=delta") as monitor:
        run_id = server.make_run(
            argv, "canaries", env={"CANARY": secret, "SHOWN": control}, prompt="print them"
        )
        with Listener(server, f"/ws/runs/{run_id}/events?from_seq=0") as events:
            wait_until(lambda: control.encode() in events.said, "its last line", 60)
            said |= {f"running {name}": data for name, data in kept(tmp_path / "data").items()}
            gate.touch()
            server.wait_for_run(run_id, "done", limit_s=60)
            wait_until(lambda: run_id.encode() in monitor.said, "the monitor's frames", 60)
        said["stored events"] = repr(server.events(run_id)).encode()
        said["task and run"] = repr(server.get(f"/api/v1/runs/{run_id}")).encode()
        said["server's metrics"] = text_of(f"{server.url}/metrics", server)
        said["node's metrics"] = text_of(f"http://127.0.0.1:{node.metrics_port}/metrics")
        said |= {"run socket": events.said, "monitor socket": monitor.said}
    said |= kept(tmp_path / "data")

    found = [
        (name, where, seed)
        for name, trace in canaries.traces(secret).items()
        for where, data in said.items()
        if trace in data
    ]
    assert found == []
    # What is searched is what was written, and holds all that was printed.
    assert said["stored events"].count(b"***") >= 2 * len(canaries.ENCODINGS)
    places = {where for where, data in said.items() if control.encode() in data}
    assert {"stored events", "run socket"} <= places
    assert any("runwatch.db" in where for where in places), sorted(said)
    assert any(where.endswith(".seg") for where in places), sorted(said)
