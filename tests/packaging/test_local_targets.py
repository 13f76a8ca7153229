"""The make targets around local processes, on free ports and a data directory of their own."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import local_process
import local_stack
from local_api import LocalApi

ROOT = Path(__file__).resolve().parents[2]
LOCAL = (sys.executable, str(ROOT / "deployments/local/local.py"))
LONG_S = 60.0
"""A bound, not an expectation: a machine may be busy with other tests."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def own_environment(data_dir: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNWATCH_", "PYTEST_", "MAKE"))
    }
    return {
        **kept,
        "RUNWATCH_DATA_DIR": str(data_dir),
        "RUNWATCH_PORT": str(free_port()),
        "RUNWATCH_METRICS_PORT": str(free_port()),
        "RUNWATCH_DRAIN_S": "0",
        "RUNWATCH_SESSIONS": "false",
        "XDG_CONFIG_HOME": str(data_dir / "config"),
    }


def until(condition: Callable[[], object], what: str, limit_s: float = LONG_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[local_stack.Place]:
    made = local_stack.Place(data_dir=tmp_path, environment=own_environment(tmp_path))
    yield made
    for identity in local_process.processes_of(tmp_path):
        local_process.end(identity, grace_s=1)


def local(place: local_stack.Place, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LOCAL, target],
        env=dict(place.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


def answers(place: local_stack.Place) -> bool:
    url = local_stack.known_url(place)
    return url is not None and LocalApi(url, place.data_dir).serving()


def running(place: local_stack.Place, name: str) -> local_process.Identity | None:
    return local_process.running(place.pid_file(name))


def test_run_without_a_terminal_starts_both_says_where_and_ends_well(
    place: local_stack.Place,
) -> None:
    first = local(place, "run")
    assert first.returncode == 0, first.stderr + first.stdout
    assert f"127.0.0.1:{place.environment['RUNWATCH_PORT']}" in first.stdout
    assert str(place.data_dir) in first.stdout
    assert "not online" not in first.stdout
    assert len(first.stdout.splitlines()) > 5  # the statistics are there too

    server, node = running(place, "server"), running(place, "node")
    assert server
    assert node
    again = local(place, "run")
    assert again.returncode == 0, again.stderr
    assert (running(place, "server"), running(place, "node")) == (server, node)

    stopped = local(place, "stop")
    assert stopped.returncode == 0
    assert stopped.stdout == "The node has stopped.\nThe server has stopped.\n"
    assert not answers(place)
    assert local_process.identity_of(server.pid) is None
    assert local_process.identity_of(node.pid) is None
    assert local(place, "stop").stdout == (
        "The node was not running.\nThe server was not running.\n"
    )


def test_server_and_node_can_be_started_and_stopped_alone(place: local_stack.Place) -> None:
    assert local(place, "run-api").returncode == 0
    assert running(place, "node") is None
    assert local(place, "run-nodemanager").returncode == 0
    node = running(place, "node")
    assert node
    assert local(place, "stop-api").stdout == "The server has stopped.\n"
    assert running(place, "node") == node
    assert not answers(place)
    assert local(place, "run-api").returncode == 0
    assert answers(place)
    assert local(place, "stop-nodemanager").stdout == "The node has stopped.\n"
    assert answers(place)


def test_a_server_that_cannot_start_says_why(place: local_stack.Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(place.environment["RUNWATCH_PORT"])))
        taken.listen()
        ran = local(place, "run-api")
    assert ran.returncode == 1
    assert "The server did not start:" in ran.stderr
    assert place.environment["RUNWATCH_PORT"] in ran.stderr
    assert "Traceback" not in ran.stderr
    assert str(place.log_file("server")) in ran.stderr


def test_watching_restarts_on_a_change_and_is_ended_by_its_stop_target(
    place: local_stack.Place,
) -> None:
    output = place.data_dir / "watch.txt"
    with output.open("wb") as file:
        watcher = subprocess.Popen(
            [*LOCAL, "watch-api"], env=dict(place.environment), stdout=file, stderr=file
        )
        until(lambda: answers(place), "the server answers")
        refused = local(place, "watch-api")
        assert refused.returncode == 1
        assert "make stop-api" in refused.stderr
        os.utime(ROOT / "server/runwatch_server/__init__.py")
        until(lambda: "starting anew" in output.read_text(), "the change is seen")
        until(lambda: not answers(place), "the old server stops")
        until(lambda: answers(place), "the new server answers")
        assert local(place, "stop-api").stdout == "The server has stopped.\n"
        watcher.wait(LONG_S)
    until(lambda: not answers(place), "the server is gone")


def demo(place: local_stack.Place) -> "subprocess.Popen[str]":
    """`TMPDIR` is where the scratch directory goes, so that its end can be seen."""
    return subprocess.Popen(
        [*LOCAL, "demo"],
        env={**place.environment, "TMPDIR": str(place.data_dir)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def traces(place: local_stack.Place) -> list[Path]:
    return list(place.data_dir.glob("runwatch-demo-*"))


def test_the_demonstration_shows_real_runs_and_leaves_nothing(place: local_stack.Place) -> None:
    with demo(place) as shown:
        output, _ = shown.communicate(timeout=120)
    assert shown.returncode == 0, output
    for name in ("整理中文文档", "run billing tests", "replay access log", "train ranking"):
        assert name in output
    assert re.search(r"FAIL|failed", output)
    assert traces(place) == []
    assert local_process.processes_of(place.data_dir) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demonstration_leaves_nothing_either(
    place: local_stack.Place, number: signal.Signals
) -> None:
    # Who runs the tests in the background ignores SIGINT, and a program inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupt(place, number)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(place: local_stack.Place, number: signal.Signals) -> None:
    with demo(place) as shown:
        assert shown.stdout
        said = []
        for line in shown.stdout:
            said.append(line)
            if "runs started" in line:
                break
        assert len(traces(place)) == 1, said
        shown.send_signal(number)
        shown.communicate(timeout=LONG_S)
    assert shown.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert traces(place) == []
    assert local_process.processes_of(place.data_dir) == []


def test_run_in_a_terminal_opens_the_console_and_leaving_it_leaves_the_rest(
    place: local_stack.Place,
) -> None:
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    console = subprocess.Popen(
        [*LOCAL, "run"],
        env={**place.environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
    )
    os.close(side)
    seen = bytearray()

    def screen() -> bytes:
        """A terminal nobody reads blocks who writes to it; its end is an OSError."""
        with suppress(OSError):
            if select.select([terminal], [], [], 0.05)[0]:
                seen.extend(os.read(terminal, 65536))
        return bytes(seen)

    try:
        until(lambda: b"live" in screen(), "the console is live")
        os.write(terminal, b"q")
        until(lambda: screen() and console.poll() is not None, "the console is left")
        assert console.returncode == 0
        assert answers(place)
        assert running(place, "node")
    finally:
        console.kill()
        console.wait(5)
        os.close(terminal)


def test_data_stays_where_it_is_told(place: local_stack.Place) -> None:
    assert local_stack.open_place(place.environment).data_dir == place.data_dir
    assert not str(place.data_dir).startswith(str(Path.home() / ".local"))
    assert tempfile.gettempdir() in str(place.data_dir)
