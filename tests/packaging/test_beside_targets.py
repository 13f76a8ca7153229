"""make dev-up, dev-down, monitoring-up and monitoring-down: by this machine's own programs, and by
Docker Compose, whose place a program takes here that writes down what it was asked.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import local_process
import local_stack
from tests.packaging.test_local_targets import free_port, local, own_environment, until

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deployments/compose"
STAND_IN = """#!{python}
import json, os, sys
asked = sys.argv[1:]
seen = {{name: value for name, value in os.environ.items() if name in {names!r}}}
with open({record!r}, "a") as record:
    record.write(json.dumps([asked, seen]) + "\\n")
"""
PORTS = ("PROMETHEUS_PORT", "GRAFANA_PORT", "POSTGRES_PORT", "MONGO_PORT")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[local_stack.Place]:
    # Not below `tmp_path`, which the user PostgreSQL runs as may not enter.
    scratch = Path(tempfile.mkdtemp(prefix="runwatch-beside-"))
    scratch.chmod(0o711)
    environment = {
        **own_environment(tmp_path / "data"),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "TMPDIR": str(scratch),
        **{name: str(free_port()) for name in PORTS},
    }
    yield local_stack.Place(data_dir=tmp_path / "data", environment=environment)
    for identity in local_process.processes_of(tmp_path):
        local_process.end(identity, grace_s=5)
    for name in ("postgres", "mongo"):
        local_process.stop(tmp_path / "data/local" / f"{name}.pid", grace_s=5)
    shutil.rmtree(scratch)


def no_engine(place: local_stack.Place) -> None:
    if shutil.which("docker", path=place.environment["PATH"]):
        pytest.skip("this machine may have an engine of its own")


def said(place: local_stack.Place, target: str) -> str:
    ran = local(place, target)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def left(place: local_stack.Place) -> set[str]:
    return {path.name for path in place.folder.iterdir()} - {
        "lock",
        "server.log",
        "server.ready",
        "node.log",
    }


def scrapes(place: local_stack.Place) -> dict[str, str]:
    port = place.environment["PROMETHEUS_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as answer:
        targets = json.load(answer)["data"]["activeTargets"]
    return {each["labels"]["job"]: each["health"] for each in targets}


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_prometheus_watches_what_runs_here_and_goes_without_a_trace(
    place: local_stack.Place,
) -> None:
    no_engine(place)
    before = said(place, "monitoring-up")
    assert "No server runs here yet" in before
    assert "Grafana     not started" in before
    first = local_process.running(place.pid_file("prometheus"))
    assert first
    url = local_stack.start_server(place)
    again = said(place, "monitoring-up")
    assert url in again
    assert local_process.running(place.pid_file("prometheus")) == first
    token = place.folder / "monitoring/configuration/token"
    assert token.stat().st_mode & 0o077 == 0
    issued = token.read_text()
    assert said(place, "monitoring-up") == again
    assert token.read_text() == issued
    until(lambda: scrapes(place).get("runwatch-server") == "up", "the server is scraped")

    said(place, "stop-api")
    assert "No server runs here yet" in said(place, "monitoring-up")
    assert token.read_text() == issued, "so that it can be revoked"
    assert "has stopped" in said(place, "monitoring-down")
    assert said(place, "monitoring-down") == "Monitoring was not running.\n"
    assert local_process.identity_of(first.pid) is None
    tokens = subprocess.run(
        [local_stack.program("monitor-server"), "token", "list"],
        env=dict(place.environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert re.findall(r"viewer +(\w+)", tokens) == ["revoked"]
    said(place, "stop")
    assert left(place) == set()
    assert local_process.processes_of(place.data_dir) == []


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_a_port_that_is_taken_is_told_with_what_to_do(place: local_stack.Place) -> None:
    no_engine(place)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(place.environment["PROMETHEUS_PORT"])))
        taken.listen()
        ran = local(place, "monitoring-up")
    assert ran.returncode == 1
    assert "PROMETHEUS_PORT=" in ran.stderr
    assert local(place, "monitoring-down").returncode == 0


LISTENING = """#!{python}
import socket, sys
words = sys.argv[1:]
assert words[words.index("--bind_ip") + 1] == "127.0.0.1"
open(words[words.index("--dbpath") + 1] + "/made", "w").close()
with socket.create_server(("127.0.0.1", int(words[words.index("--port") + 1]))) as listener:
    while True:
        listener.accept()[0].close()
"""


@pytest.mark.skipif(
    not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="PostgreSQL is not installed"
)
def test_databases_of_this_machine_serve_and_go_without_a_trace(
    place: local_stack.Place, tmp_path: Path
) -> None:
    no_engine(place)
    first = said(place, "dev-up")
    assert "MongoDB     not started" in first
    (url,) = re.findall(r"export RUNWATCH_DATABASE_URL=(postgresql:\S+)", first)
    postgres = local_process.running(place.pid_file("postgres"))
    checked = subprocess.run(
        [local_stack.program("monitor-server"), "migrate", "--check"],
        env={**place.environment, "RUNWATCH_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert checked.returncode == 0, checked.stderr

    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mongod").write_text(LISTENING.format(python=sys.executable))
    (folder / "mongod").chmod(0o755)
    environment = {**place.environment, "PATH": f"{place.environment['PATH']}:{folder}"}
    both = local_stack.Place(data_dir=place.data_dir, environment=environment)
    second = said(both, "dev-up")
    port = place.environment["MONGO_PORT"]
    assert f"export RUNWATCH_DATABASE_URL=mongodb://127.0.0.1:{port}/runwatch" in second
    assert url in second
    assert local_process.running(place.pid_file("postgres")) == postgres
    mongo = local_process.running(place.pid_file("mongo"))

    assert "their data is removed" in said(place, "dev-down")
    assert said(place, "dev-down") == "The databases were not running.\n"
    for ended in (postgres, mongo):
        assert ended
        assert local_process.identity_of(ended.pid) is None
    assert left(place) == set()
    assert list(Path(place.environment["TMPDIR"]).iterdir()) == []


def composed(place: local_stack.Place, tmp_path: Path) -> tuple[local_stack.Place, Path]:
    """The same place with an engine, and what that was asked."""
    record = tmp_path / "asked"
    record.touch()
    folder = tmp_path / "bin"
    folder.mkdir()
    names = [*PORTS, "RUNWATCH_MONITORING", "RUNWATCH_GRAFANA", "RUNWATCH_USER"]
    stand_in = folder / "docker"
    stand_in.write_text(STAND_IN.format(python=sys.executable, names=names, record=str(record)))
    stand_in.chmod(0o755)
    environment = {**place.environment, "PATH": f"{folder}:{place.environment['PATH']}"}
    return local_stack.Place(data_dir=place.data_dir, environment=environment), record


def asked(record: Path) -> list[tuple[list[str], dict[str, str]]]:
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    return [
        (words[3:], seen)
        for words, seen in lines
        if words[:2] == ["compose", "--file"] and Path(words[2]).is_file()
    ]


def test_with_an_engine_compose_brings_prometheus_and_grafana(
    place: local_stack.Place, tmp_path: Path
) -> None:
    place, record = composed(place, tmp_path)
    shown = said(place, "monitoring-up")
    assert f"http://127.0.0.1:{place.environment['GRAFANA_PORT']}/dashboards" in shown
    (up, values), (kill, _) = asked(record)
    assert up == ["up", "--detach", "--wait", "--remove-orphans"]
    assert kill == ["kill", "--signal", "SIGHUP", "prometheus"]
    assert values.keys() >= variables(COMPOSE / "monitoring.yaml")
    assert (Path(values["RUNWATCH_MONITORING"]) / "configuration/prometheus.yml").exists()
    assert (Path(values["RUNWATCH_MONITORING"]) / "data").is_dir()
    assert (Path(values["RUNWATCH_GRAFANA"]) / "dashboards/runwatch-overview.json").exists()
    assert values["RUNWATCH_USER"] == f"{os.getuid()}:{os.getgid()}"
    assert local_process.running(place.pid_file("prometheus")) is None
    assert "has stopped" in said(place, "monitoring-down")
    assert asked(record)[-1][0] == ["down", "--volumes", "--remove-orphans"]
    assert said(place, "monitoring-down") == "Monitoring was not running.\n"
    assert left(place) == set()


def test_an_engine_without_compose_is_as_good_as_none(
    place: local_stack.Place, tmp_path: Path
) -> None:
    place, record = composed(place, tmp_path)
    docker = tmp_path / "bin/docker"
    docker.write_text('#!/bin/sh\n[ "$1" = info ]\n')
    environment = {**place.environment, "PATH": str(docker.parent)}
    bare = local_stack.Place(data_dir=place.data_dir, environment=environment)
    ran = local(bare, "monitoring-up")
    assert ran.returncode == 1
    assert "apt-get install prometheus" in ran.stderr
    assert asked(record) == []


def variables(file: Path) -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)\}", file.read_text()))


@pytest.mark.parametrize("name", ["monitoring", "databases"])
def test_what_is_composed_listens_on_this_machine_only(name: str) -> None:
    document: dict[str, Any] = yaml.safe_load((COMPOSE / f"{name}.yaml").read_text())
    for service, told in document["services"].items():
        assert re.fullmatch(r"[a-z]+(/[a-z]+)?:v?\d[\d.]*", told["image"]), service
        for port in told.get("ports", []):
            assert port.startswith("127.0.0.1:"), service
        if told.get("network_mode") == "host":
            listens = " ".join([*told.get("command", []), *told.get("environment", {}).values()])
            assert "127.0.0.1" in listens, service
