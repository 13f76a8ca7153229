"""make monitoring-up and monitoring-down: Prometheus, and Grafana where there is an engine.

They watch the server and the node of this machine; what they measure goes with them.
"""

import json
import os
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import local_engine
import local_process
from local_api import LocalApi
from local_ports import HOST, require_free, wait_until, wanted
from local_stack import LocalError, Place, known_url, log_tail, open_place, program
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import NodeSettings

NAME: Final = "prometheus"
SOURCES: Final = Path(__file__).resolve().parents[1]
READY_S: Final = 60.0
GRACE_S: Final = 20.0
TOKEN_NAME: Final = "make monitoring-up"


def up(environment: Mapping[str, str]) -> int:
    """Start them, or tell those that run where everything is now; says where they are."""
    place = open_place(environment)
    port = wanted(environment, "PROMETHEUS_PORT")
    with place.locked():
        watched = _configure(place, environment)
        engine = local_engine.found(environment)
        if engine is not None:
            values = _values(place, environment)
            engine.up("monitoring", values)
            engine.signal("monitoring", values, NAME, "SIGHUP")
        else:
            port = _start(place, environment, port)
    print(f"Prometheus  http://{HOST}:{port}/alerts")
    if engine is not None:
        grafana = wanted(environment, "GRAFANA_PORT")
        print(f"Grafana     http://{HOST}:{grafana}/dashboards  (admin, admin)")
    else:
        print(
            "Grafana     not started: it comes by Docker Compose, and there is no engine here.\n"
            "            Its dashboards are in deployments/grafana; docs/monitoring.md says\n"
            "            how to use them."
        )
    print(watched)
    return 0


def down(environment: Mapping[str, str]) -> int:
    """End what `up` started, and remove what it made; well where nothing runs."""
    place = open_place(environment)
    with place.locked():
        engine = local_engine.found(environment)
        composed = engine is not None and (_folder(place) / "configuration").exists()
        if engine is not None and composed:
            engine.down("monitoring", _values(place, environment))
        ending = local_process.stop(place.pid_file(NAME), grace_s=GRACE_S)
        _revoke(place)
        shutil.rmtree(_folder(place), ignore_errors=True)
        for file in (place.log_file(NAME), _port_file(place)):
            file.unlink(missing_ok=True)
    print(
        "Monitoring was not running."
        if ending == "not running" and not composed
        else "Monitoring has stopped; what it had measured is removed."
    )
    return 0


def _start(place: Place, environment: Mapping[str, str], port: int) -> int:
    """Prometheus of this machine; one that runs reads its configuration anew. Gives its port."""
    identity = local_process.running(place.pid_file(NAME))
    if identity is not None:
        os.kill(identity.pid, signal.SIGHUP)
        return int(_port_file(place).read_text())
    path = shutil.which(NAME, path=environment.get("PATH", os.defpath))
    if path is None:
        raise LocalError(
            "There is neither a container engine with Compose nor a program `prometheus` here.\n"
            "Debian has it: apt-get install prometheus"
        )
    require_free("PROMETHEUS_PORT", port)
    identity = local_process.start(
        [
            path,
            f"--config.file={_folder(place) / 'configuration/prometheus.yml'}",
            f"--storage.tsdb.path={_folder(place) / 'data'}",
            f"--web.listen-address={HOST}:{port}",
        ],
        pid_file=place.pid_file(NAME),
        log_file=place.log_file(NAME),
        environment=environment,
    )
    _port_file(place).write_text(str(port))
    known = identity
    if not wait_until(
        lambda: _is_ready(port),
        lambda: local_process.identity_of(known.pid) == known,
        READY_S,
    ):
        said = log_tail(place, NAME)
        local_process.stop(place.pid_file(NAME), grace_s=GRACE_S)
        raise LocalError(f"Prometheus did not start:\n{said}")
    return port


def _configure(place: Place, environment: Mapping[str, str]) -> str:
    """Write the configuration, whole or not at all; gives what is watched, for a person."""
    folder = _folder(place) / "configuration"
    fresh = folder.with_name("configuration.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(SOURCES / "prometheus", fresh, ignore=lambda _, names: {"tests"} & set(names))
    targets = fresh / "targets"
    targets.mkdir()
    url = known_url(place)
    if url is not None and not LocalApi(url, place.data_dir).serving():
        url = None
    (fresh / "ca.pem").write_bytes(_authorities(place))
    token = _kept_token(place) if url is None else _token(place, environment)
    (fresh / "token").touch(mode=0o600)
    (fresh / "token").write_text(token)
    servers = [] if url is None else [_target(urlsplit(url).netloc, urlsplit(url).scheme)]
    (targets / "servers.json").write_text(json.dumps(servers))
    node = load_settings(NodeSettings, "node", environment=environment)
    scheme = "https" if node.metrics_tls_cert else "http"
    host = HOST if node.metrics_host in ("", "0.0.0.0", "::") else node.metrics_host
    nodes = [_target(f"{host}:{node.metrics_port}", scheme)]
    (targets / "nodes.json").write_text(json.dumps(nodes))
    folder.mkdir(parents=True, exist_ok=True)
    _folder(place).joinpath("data").mkdir(exist_ok=True)
    # File by file: a container has mounted the folder itself.
    for file in sorted(fresh.rglob("*")):
        if file.is_file():
            goal = folder / file.relative_to(fresh)
            goal.parent.mkdir(parents=True, exist_ok=True)
            file.replace(goal)
    shutil.rmtree(fresh)
    if url is None:
        return "No server runs here yet: after `make run`, do this once more to have it watched."
    return f"Watched     {url} and the node of this machine, every 15 s"


def _target(address: str, scheme: str) -> dict[str, Any]:
    return {"targets": [address], "labels": {"__scheme__": scheme}}


def _authorities(place: Place) -> bytes:
    """Of the server's own making, else those of the system."""
    own = place.data_dir / "tls" / "ca.pem"
    if own.exists():
        return own.read_bytes()
    system = ssl.get_default_verify_paths().cafile
    return Path(system).read_bytes() if system else b""


def _token(place: Place, environment: Mapping[str, str]) -> str:
    """A viewer's token; the one made before, where the server still takes it."""
    kept = _kept_token(place)
    if kept and _is_taken(place, kept):
        return kept
    _revoke(place)  # whyever it was not taken, it is used no more
    made = _server_command(
        environment, "token", "create", "--scope", "viewer", "--name", TOKEN_NAME
    )
    if made.returncode:
        raise LocalError(f"No token for Prometheus could be made: {made.stderr.strip()}")
    return made.stdout.strip()


def _kept_token(place: Place) -> str:
    file = _folder(place) / "configuration" / "token"
    return file.read_text().strip() if file.exists() else ""


def _is_taken(place: Place, token: str) -> bool:
    url = known_url(place)
    if url is None:
        return False
    return LocalApi(url, place.data_dir, token=token).allows("/api/v1/auth/me")


def _revoke(place: Place) -> None:
    """End the token that was made; where its server's database is gone, so is the token."""
    parts = _kept_token(place).split("_")
    if len(parts) > 2:
        _server_command(place.environment, "token", "revoke", parts[2])


def _server_command(
    environment: Mapping[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("monitor-server"), *words],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _values(place: Place, environment: Mapping[str, str]) -> dict[str, str]:
    """What the Compose file asks for."""
    return {
        "RUNWATCH_MONITORING": str(_folder(place)),
        "RUNWATCH_GRAFANA": str(SOURCES / "grafana"),
        "RUNWATCH_USER": f"{os.getuid()}:{os.getgid()}",
        "PROMETHEUS_PORT": str(wanted(environment, "PROMETHEUS_PORT")),
        "GRAFANA_PORT": str(wanted(environment, "GRAFANA_PORT")),
    }


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://{HOST}:{port}/-/ready", timeout=5).close()
    except OSError:
        return False
    return True


def _folder(place: Place) -> Path:
    return place.folder / "monitoring"


def _port_file(place: Place) -> Path:
    return place.folder / "prometheus.port"
