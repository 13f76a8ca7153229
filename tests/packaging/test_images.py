"""The images of server and node, built by Podman from nothing but this machine, and run as they are
meant to be: as a user without rights, on a root that cannot be written.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.nodemanager.containers.podman import Podman, podman, why_not
from tests.packaging.images import root_file_system
from tests.processes import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = "localhost/base:latest"
LIMIT_S: Final = 60.0
MEMORY: Final = Path("/dev/shm")
BUILD_S: Final = 280

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    """With both images."""
    if reason := why_not():
        pytest.skip(f"no containers here: {reason}")
    place = MEMORY if os.access(MEMORY, os.W_OK) else Path("/tmp")
    with TemporaryDirectory(prefix="rw-", dir=place) as name, podman(Path(name)) as mine:
        if reason := mine.why_none_runs():
            pytest.skip(f"no containers here: {reason}")
        tree = root_file_system(["server", "nodemanager"])
        mine.run("import", "--change", "ENV PATH=/usr/bin:/bin", "-", BASE, stdin=tree)
        context = Path(name) / "context"
        shutil.copytree(ROOT / "requirements", context / "requirements")
        wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
        subprocess.run(
            [*wheel, str(context / "dist")], cwd=ROOT, check=True, capture_output=True, timeout=60
        )
        for target in ("server", "node"):
            _build(mine, context, target)
        yield mine


def _build(mine: Podman, context: Path, target: str) -> None:
    arguments = [f"BASE={BASE}", "EXTRAS=server", "PACKAGES="]
    told = subprocess.run(
        mine.command(
            *("build", "--format=docker", "--network=none", "--pull=never", "--layers=false"),
            *(f"--build-arg={each}" for each in arguments),
            *("--target", target, "--tag", f"localhost/runwatch-{target}:latest"),
            *("--file", str(ROOT / "deployments/docker/Dockerfile"), str(context)),
        ),
        env=mine.environment,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:]


def _start(engine: Podman, name: str, image: str, *options: str) -> None:
    engine.run(
        *("run", "--detach", "--name", name, "--read-only", "--tmpfs=/tmp", "--cap-drop=all"),
        *("--security-opt=no-new-privileges", "--volume", f"{name}:/var/lib/runwatch", *options),
        f"localhost/runwatch-{image}:latest",
    )


def _succeeds(engine: Podman, *arguments: str) -> bool:
    told = subprocess.run(
        engine.command(*arguments),
        env=engine.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return told.returncode == 0


def test_server_and_node_run_without_rights_on_a_root_that_cannot_be_written(
    engine: Podman, tmp_path: Path
) -> None:
    _start(engine, "server", "server", "--network=none")
    alive = ("exec", "server", "monitor-server", "alive", "--ready")
    wait_until(lambda: _succeeds(engine, *alive), "the server", LIMIT_S)
    assert engine.run("exec", "server", "id", "-u").strip() == "10001"
    assert not _succeeds(engine, "exec", "server", "touch", "/opt/runwatch/x")
    assert _succeeds(engine, "healthcheck", "run", "server")

    volume = Path(engine.run("volume", "inspect", "--format={{.Mountpoint}}", "server").strip())
    assert volume.stat().st_mode & 0o777 == 0o700
    shutil.copy(volume / "tls/ca.pem", tmp_path / "ca.pem")
    (tmp_path / "ca.pem").chmod(0o644)
    token = (volume / "node-token").read_text().strip()
    _start(
        engine,
        "node",
        "node",
        "--network=container:server",
        f"--volume={tmp_path}/ca.pem:/etc/runwatch/ca.pem:ro",
        "--env=RUNWATCH_CA=/etc/runwatch/ca.pem",
        f"--env=RUNWATCH_NODE_TOKEN={token}",
        "--env=RUNWATCH_SERVER=https://127.0.0.1:8080",
    )
    joined = ("exec", "server", "monitor-server", "check")
    wait_until(lambda: "nodes      1" in engine.run(*joined), "the node", LIMIT_S)
    assert engine.run("exec", "node", "id", "-u").strip() == "10002"
    assert _succeeds(engine, "healthcheck", "run", "node")

    for name in ("node", "server"):
        engine.run("stop", "--time=40", name)
        (state,) = json.loads(engine.run("inspect", name))
        assert state["State"]["ExitCode"] == 0, engine.run("logs", name)
    assert not _succeeds(engine, "healthcheck", "run", "server")
    logged = engine.run("logs", "server").splitlines()
    assert json.loads(logged[-1])["event"] == "stop"


def test_what_images_hold_and_how_they_start_is_as_documented(engine: Podman) -> None:
    for target, user in (("server", "10001:10001"), ("node", "10002:10002")):
        (image,) = json.loads(engine.run("image", "inspect", f"localhost/runwatch-{target}:latest"))
        settings = image["Config"]
        assert settings["User"] == user
        assert settings["StopSignal"] in {"SIGTERM", "15"}
        assert list(settings["Volumes"]) == ["/var/lib/runwatch"]
        assert image["Healthcheck"]["Test"][0] == "CMD"
        secret = [line for line in settings["Env"] if "TOKEN" in line or "SECRET" in line]
        assert secret == []
