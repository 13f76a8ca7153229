"""The units of systemd: as systemd reads them, and the programs they start under a fake manager."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from runwatch_server.certificates import ensure_certificates
from runwatch_shared.clock import SystemClock
from tests.processes import BIN, NodeProcess, ServerProcess, wait_until

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deployments" / "systemd"
LIMIT_S = 20.0
EXPOSURE = {"runwatch-server": 25, "runwatch-node": 40}
"""Of ``systemd-analyze security``, tenths; what a node leaves out is said in its unit."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)


def options_of(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / f"{unit}.service").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@needs_systemd
@pytest.mark.parametrize("unit", EXPOSURE)
def test_units_are_understood_whole_and_hardened(tmp_path: Path, unit: str) -> None:
    placed = tmp_path / f"{unit}.service"
    text = (UNITS / f"{unit}.service").read_text()
    placed.write_text(text.replace("/opt/runwatch/bin", str(BIN)))
    verified = analyze("verify", str(placed))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    scored = analyze("security", "--offline=true", f"--threshold={EXPOSURE[unit]}", str(placed))
    assert scored.returncode == 0, scored.stdout[-400:]


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd is not installed")
def test_users_and_places_of_the_units_are_made_by_their_own_files(tmp_path: Path) -> None:
    subprocess.run(
        ["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(UNITS / "tmpfiles.conf")],
        capture_output=True,
        timeout=30,
        check=False,  # without root the owner cannot be set
    )
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    users = re.findall(r"^u (\S+)", (UNITS / "sysusers.conf").read_text(), re.MULTILINE)
    for unit in EXPOSURE:
        options = options_of(unit)
        assert options["User"][0] in users
        for credential in options["LoadCredential"]:
            assert credential.partition(":")[2].removeprefix("/") in made, credential
    secrets = [tmp_path / name for name in made if "credentials" in name]
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)


class Manager:
    """What a service tells, as systemd would hear it."""

    def __init__(self, listener: socket.socket, address: str) -> None:
        self.address = address
        self._listener = listener

    def next(self, name: str) -> dict[str, str]:
        """The facts of the next datagram with this name; others are passed over."""
        self._listener.settimeout(LIMIT_S)
        while True:
            facts = dict(
                line.split("=", 1) for line in self._listener.recv(4096).decode().splitlines()
            )
            if name in facts:
                return facts

    def hears(self, within_s: float) -> bool:
        self._listener.settimeout(within_s)
        try:
            return bool(self._listener.recv(4096))
        except TimeoutError:
            return False


@pytest.fixture
def manager() -> Iterator[Manager]:
    with (
        tempfile.TemporaryDirectory(prefix="rw-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        address = str(Path(folder) / "notify")
        listener.bind(address)
        yield Manager(listener, address)


def as_in_unit(unit: str, program: str, environment: dict[str, str], place: Path) -> list[str]:
    """The command of a unit; its environment, credentials and places are put in those of here."""
    options = options_of(unit)
    credentials = place / "credentials"
    credentials.mkdir()
    for each in options["LoadCredential"]:
        (credentials / each.partition(":")[0]).write_text("")
    environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    for pair in " ".join(options["Environment"]).split():
        name, _, value = pair.partition("=")
        environment.setdefault(name, value)
    command = options["ExecStart"][0]
    assert command.startswith(f"/opt/runwatch/bin/{program} ")
    return command.replace("/opt/runwatch/bin", str(BIN)).split()


def test_a_server_is_ready_when_it_serves_reloads_and_misses_its_watchdog_when_it_stands_still(
    tmp_path: Path, manager: Manager
) -> None:
    server = ServerProcess(tmp_path / "data")
    server.environment |= {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
    config = tmp_path / "runwatch.toml"
    config.write_text(f"[server]\nport = {server.port}\nready_file = '{server.ready_file}'\n")
    command = as_in_unit("runwatch-server", "monitor-server", server.environment, tmp_path)
    server.command = [*command, "--config", str(config)]
    (tmp_path / "credentials/runwatch.jwt_secret").write_text("k" * 40)
    with server:
        assert manager.next("READY")["STATUS"] == f"serving {server.url}"
        trusted = ssl.create_default_context(cafile=server.data_dir / "tls/ca.pem")
        with urllib.request.urlopen(f"{server.url}/readyz", context=trusted, timeout=5) as answer:
            assert answer.status == 200
        assert not (server.data_dir / "jwt-secret").exists()
        manager.next("WATCHDOG")

        config.write_text(config.read_text() + "log_level = 'debug'\nallowed_hosts = ['a.b']\n")
        os.kill(server.pid, signal.SIGHUP)
        assert manager.next("RELOADING")["MONOTONIC_USEC"].isdigit()
        assert manager.next("READY")["STATUS"] == "serving; 2 settings taken, 0 wait"
        config.write_text(config.read_text() + "prot = 1\n")
        os.kill(server.pid, signal.SIGHUP)
        manager.next("RELOADING")
        assert "not taken" in manager.next("READY")["STATUS"]
        assert "did you mean port?" in server.log()

        os.kill(server.pid, signal.SIGUSR1)
        wait_until(
            lambda: re.search(r'task=watchdog stack="\S+ _feed', server.log()), "tasks", LIMIT_S
        )
        os.kill(server.pid, signal.SIGRTMIN + 22)
        wait_until(lambda: "event=level to=debug" in server.log(), "the level", LIMIT_S)
        os.kill(server.pid, signal.SIGQUIT)
        wait_until(lambda: "most recent call first" in server.log(), "stacks", LIMIT_S)
        os.kill(server.pid, signal.SIGSTOP)
        while manager.hears(1.0):
            pass
        assert not manager.hears(1.0)
        os.kill(server.pid, signal.SIGCONT)
        manager.next("WATCHDOG")

        assert server.stop() == 0
        assert manager.next("STOPPING")["STATUS"].startswith("draining for")


def test_a_node_is_ready_reloads_how_it_logs_and_says_that_it_stops(
    tmp_path: Path, manager: Manager
) -> None:
    with ServerProcess(tmp_path / "data") as server:
        node = NodeProcess(server)
        node.environment |= {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
        config = tmp_path / "runwatch.toml"
        text = f"[node]\nserver = '{server.url}'\nnode_id = 'n1'\nmetrics_port = 0\n"
        config.write_text(text)
        command = as_in_unit("runwatch-node", "nodemanager", node.environment, tmp_path)
        node.command = [*command, "--config", str(config)]
        with node:
            assert manager.next("READY")["STATUS"] == f"working for {server.url} as n1"
            manager.next("WATCHDOG")
            config.write_text(f"{text}log_level = 'debug'\ncapacity = 9\n")
            os.kill(node.pid, signal.SIGHUP)
            manager.next("RELOADING")
            assert manager.next("READY")["STATUS"] == "working; 1 settings taken, 1 wait"
            wait_until(lambda: "waiting=capacity" in node.log(), "the log", LIMIT_S)
            assert node.running
            assert node.stop() == 0
            manager.next("STOPPING")


def test_alive_asks_the_server_of_a_data_directory_and_believes_no_other(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "own", ["*.runwatch.example"], SystemClock())
    other = ensure_certificates(tmp_path / "other", ["*.runwatch.example"], SystemClock())

    def alive(server: ServerProcess, **environment: str) -> tuple[int, str]:
        told = subprocess.run(
            [str(BIN / "monitor-server"), "alive", "--ready"],
            env=server.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return told.returncode, told.stdout + told.stderr

    server = ServerProcess(tmp_path / "data")
    server.environment |= {
        "RUNWATCH_TLS_CERT": str(files.cert_pem),
        "RUNWATCH_TLS_KEY": str(files.key_pem),
    }
    assert alive(server)[0] == 69
    with server:
        assert alive(server) == (0, "/readyz answers 200\n")
        status, told = alive(server, RUNWATCH_TLS_CERT=str(other.cert_pem))
        assert status == 69
        assert "certificate verify failed" in told
