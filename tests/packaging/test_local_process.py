"""Background processes are stopped exactly: the one that was started, and no other."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import local_process

SLEEP = (sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('begun', flush=True); time.sleep(60)",
)

Start = Callable[..., local_process.Identity]


def begun(log_file: Path) -> None:
    deadline = time.monotonic() + 5
    while not (log_file.exists() and "begun" in log_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[local_process.Identity] = []

    def start_one(*command: str, name: str = "part") -> local_process.Identity:
        log_file = tmp_path / f"{name}.log"
        identity = local_process.start(
            command,
            pid_file=tmp_path / f"{name}.pid",
            log_file=log_file,
            environment={**os.environ, "RUNWATCH_DATA_DIR": str(tmp_path)},
        )
        started.append(identity)
        begun(log_file)
        return identity

    yield start_one
    for identity in started:
        local_process.end(identity, grace_s=0)


def test_a_started_process_is_running_until_it_is_stopped(start: Start, tmp_path: Path) -> None:
    identity = start(*SLEEP)
    pid_file = tmp_path / "part.pid"
    assert local_process.running(pid_file) == identity
    assert local_process.stop(pid_file, grace_s=5) == "stopped"
    assert local_process.running(pid_file) is None
    assert not pid_file.exists()
    assert local_process.identity_of(identity.pid) is None
    assert local_process.stop(pid_file, grace_s=5) == "not running"


def test_a_process_that_will_not_stop_is_killed(start: Start, tmp_path: Path) -> None:
    identity = start(*DEAF)
    assert local_process.stop(tmp_path / "part.pid", grace_s=0.1) == "killed"
    assert local_process.identity_of(identity.pid) is None


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_another_process_with_the_same_pid_is_left_alone(
    start: Start, tmp_path: Path, change: dict[str, object]
) -> None:
    identity = start(*SLEEP)
    pid_file = tmp_path / "part.pid"
    pid_file.write_text(json.dumps({**asdict(identity), **change}))
    assert local_process.running(pid_file) is None
    assert local_process.stop(pid_file, grace_s=0) == "not running"
    assert local_process.identity_of(identity.pid) == identity


@pytest.mark.parametrize("text", ["", "123", "{", "{}", '{"pid": "x"}', "[1]"])
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    pid_file = tmp_path / "part.pid"
    pid_file.write_text(text)
    assert local_process.running(pid_file) is None
    assert local_process.stop(pid_file, grace_s=0) == "not running"


def test_stopping_one_process_leaves_its_neighbour(start: Start, tmp_path: Path) -> None:
    start(*SLEEP, name="one")
    other = start(*SLEEP, name="two")
    assert local_process.stop(tmp_path / "one.pid", grace_s=5) == "stopped"
    assert local_process.running(tmp_path / "two.pid") == other


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        local_process.start(
            [str(tmp_path / "missing")],
            pid_file=tmp_path / "a.pid",
            log_file=tmp_path / "a.log",
            environment={},
        )


def test_processes_of_a_directory_are_found_by_what_they_name(start: Start, tmp_path: Path) -> None:
    identity = start(*SLEEP)
    assert identity in local_process.processes_of(tmp_path)
    assert local_process.processes_of(tmp_path / "elsewhere") == []


def test_a_process_that_has_ended_but_was_not_reaped_is_not_running() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    identity = local_process.identity_of(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert local_process.identity_of(process.pid) is None
    if identity is not None:
        assert local_process.end(identity, grace_s=0) == "not running"
        assert local_process.end(replace(identity, start_ticks=0), grace_s=0) == "not running"
    process.wait(5)
