"""A whole Runwatch in a scratch directory on free ports, with real runs, gone without a trace."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import local_process
from local_api import LocalApi
from local_stack import Place, has_terminal, program, start_node, start_server, stop, wait_for_node

WORK: Final = Path(__file__).with_name("demo_work.py")
OWN_VARIABLES: Final = ("ADMIN_EMAIL", "ADMIN_PASSWORD", "JWT_SECRET", "NODE_TOKEN")
"""With all of ``RUNWATCH_*``: settings of a real installation, not for a demonstration."""

FLEET: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("train ranking model", "train", {"labels": {"team": "search"}, "priority": 5}),
    ("run billing tests", "test-suite", {"labels": {"team": "billing"}}),
    ("replay access log", "access-log", {"labels": {"team": "ops"}}),
    ("整理中文文档", "documents", {"labels": {"team": "文档"}}),
    ("lint", "lint", {}),
    ("build plugins", "build", {"labels": {"team": "platform"}}),
    ("migrate database", "migrate", {"labels": {"team": "billing"}}),
    ("load plugin", "crash", {}),
    ("nightly backup", "backup", {"timeout_s": 40, "labels": {"team": "ops"}}),
)
"""Name, work and further fields of each run."""

CAPACITY: Final = 7
"""Less than the fleet: some runs wait, as in life."""
AGAIN: Final = ("lint", "migrate", "test-suite")
AGAIN_EVERY_S: Final = 20.0
AGAIN_LIMIT: Final = 60
"""While somebody watches, a further short run begins now and then."""
UNWATCHED_S: Final = 45.0
CANCEL_S: Final = 15.0


def run_demo(environment: Mapping[str, str]) -> int:
    """Opens the console on a living fleet; without a terminal shows how it went, and ends."""
    with _scratch_place(environment) as place:
        print("Starting a server and a node in a scratch directory …", flush=True)
        url = start_server(place)
        start_node(place)
        wait_for_node(place, url)
        api = LocalApi(url, place.data_dir)
        runs = [_start_run(api, name, work, further) for name, work, further in FLEET]
        print(f"{len(runs)} runs started at {url}", flush=True)
        if has_terminal():
            return _watch(place, api)
        _wait_for_endings(api)
        for view in ("runs", "stats"):
            _console(place, api.url, view).wait()
        return 0


@contextmanager
def _scratch_place(environment: Mapping[str, str]) -> Iterator[Place]:
    scratch = Path(tempfile.mkdtemp(prefix="runwatch-demo-"))
    place = Place(data_dir=scratch / "data", environment=_environment(environment, scratch))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        yield place
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the cleaning is bounded, and must be whole
        print("Cleaning up …", flush=True)
        _clean(place, scratch)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _environment(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environment.items()
        if name == "RUNWATCH_LANG" or not (name.startswith("RUNWATCH_") or name in OWN_VARIABLES)
    }
    return {
        **kept,
        "XDG_CONFIG_HOME": str(scratch / "config"),
        "RUNWATCH_DATA_DIR": str(scratch / "data"),
        "RUNWATCH_PORT": "0",
        "RUNWATCH_METRICS_PORT": str(_free_port()),
        "RUNWATCH_CAPACITY": str(CAPACITY),
        "RUNWATCH_DRAIN_S": "0",
        "RUNWATCH_STOP_AGENTS": "true",
        "RUNWATCH_SESSIONS": "false",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start_run(api: LocalApi, name: str, work: str, further: dict[str, Any]) -> str:
    agent = {"type": "command", "parameters": {"argv": [sys.executable, str(WORK), work]}}
    task = api.post("/api/v1/tasks", {"name": name, "agent": agent, **further})
    run_id: str = api.post(f"/api/v1/tasks/{task['id']}/runs")["id"]
    return run_id


def _console(place: Place, url: str, *words: str) -> subprocess.Popen[bytes]:
    command = [program("monitor-tui"), *words, "--server", url]
    return subprocess.Popen(command, env=dict(place.environment))


def _watch(place: Place, api: LocalApi) -> int:
    console = _console(place, api.url)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the console's key, not ours
    for number in range(AGAIN_LIMIT):
        try:
            return console.wait(AGAIN_EVERY_S)
        except subprocess.TimeoutExpired:
            work = AGAIN[number % len(AGAIN)]
            with suppress(OSError):
                _start_run(api, f"{work} again, {number + 1}", work, {})
    return console.wait()


def _wait_for_endings(api: LocalApi) -> None:
    """Until most of the fleet has ended, so that there is something to see."""
    deadline = time.monotonic() + UNWATCHED_S
    while time.monotonic() < deadline and len(_active_runs(api)) > len(FLEET) // 2:
        time.sleep(0.5)


def _active_runs(api: LocalApi) -> list[str]:
    active = []
    for task in api.get("/api/v1/tasks?limit=1000")["tasks"]:
        runs = api.get(f"/api/v1/tasks/{task['id']}/runs")["runs"]
        active += [run["id"] for run in runs if run["status"] in ("queued", "assigned", "running")]
    return active


def _clean(place: Place, scratch: Path) -> None:
    url_file = place.data_dir / "server.url"
    with suppress(OSError, ValueError, KeyError):
        _cancel_runs(LocalApi(url_file.read_text().strip(), place.data_dir))
    for name in ("node", "server"):
        with suppress(OSError):
            stop(place, name)
    for identity in local_process.processes_of(scratch):
        local_process.end(identity, grace_s=3.0)
    shutil.rmtree(scratch, ignore_errors=True)


def _cancel_runs(api: LocalApi) -> None:
    for run_id in _active_runs(api):
        with suppress(OSError):
            api.post(f"/api/v1/runs/{run_id}/cancel", {"note": "end of the demonstration"})
    deadline = time.monotonic() + CANCEL_S
    while time.monotonic() < deadline and _active_runs(api):
        time.sleep(0.2)
