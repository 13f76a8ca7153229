"""One server and one node on this machine, in the background: start, wait until ready, stop."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import local_process
from local_api import LocalApi
from runwatch_shared.layers import load_settings
from runwatch_shared.settings import ServerSettings

READY_S: Final = 60.0
NODE_READY_S: Final = 15.0
SERVER_GRACE_S: Final = 40.0
NODE_GRACE_S: Final = 30.0
LOG_TAIL_LINES: Final = 12


class LocalError(Exception):
    """Something a person must do something about; the message says what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the local processes of one data directory keep what belongs to them."""

    data_dir: Path
    environment: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Pid files and logs."""
        return self.data_dir / "local"

    def pid_file(self, name: str) -> Path:
        """``name`` is ``server`` or ``node``."""
        return self.folder / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        """What the process of this name writes."""
        return self.folder / f"{name}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time: two would both find nothing running, and both start it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def open_place(environment: Mapping[str, str]) -> Place:
    """The data directory as the server itself finds it: environment, file, default."""
    settings = load_settings(ServerSettings, "server", environment=environment)
    return Place(data_dir=Path(settings.data_dir), environment=environment)


def program(name: str) -> str:
    """A command of this environment, beside its Python."""
    return str(Path(sys.executable).parent / name)


def server_command(place: Place) -> list[str]:
    """What starts the server; the ready file is ours, so a stale one cannot mislead."""
    return [program("monitor-server"), "serve", "--ready-file", str(place.folder / "server.ready")]


def node_command(place: Place) -> list[str]:
    """What starts the node; it finds certificates and token in the data directory by itself."""
    command = [program("nodemanager"), "run"]
    url = known_url(place)
    if url is not None and not place.environment.get("RUNWATCH_SERVER"):
        command += ["--server", url]
    return command


def known_url(place: Place) -> str | None:
    """Where the server of this data directory said it listens, if it ever did."""
    try:
        return (place.data_dir / "server.url").read_text().strip() or None
    except OSError:
        return None


def start_server(place: Place) -> str:
    """Starts the server where none answers, waits until it is ready, and gives its address.

    Raises:
        LocalError: It ended or did not become ready; the message holds the end of its log.
    """
    with place.locked():
        url = known_url(place)
        if url is not None and LocalApi(url, place.data_dir).serving():
            return url
        ready = place.folder / "server.ready"
        identity = local_process.running(place.pid_file("server"))
        if identity is None:
            ready.unlink(missing_ok=True)
            identity = local_process.start(
                server_command(place),
                pid_file=place.pid_file("server"),
                log_file=place.log_file("server"),
                environment=place.environment,
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if ready.exists() and (url := ready.read_text().strip()):
                return url
            if local_process.identity_of(identity.pid) != identity:
                raise LocalError(f"The server did not start:\n{log_tail(place, 'server')}")
            time.sleep(0.05)
        raise LocalError(
            f"The server was not ready after {READY_S:.0f} s:\n{log_tail(place, 'server')}"
        )


def start_node(place: Place) -> None:
    """Starts the node where none runs; it may be started before its server."""
    with place.locked():
        if local_process.running(place.pid_file("node")) is None:
            local_process.start(
                node_command(place),
                pid_file=place.pid_file("node"),
                log_file=place.log_file("node"),
                environment=place.environment,
            )


def wait_for_node(place: Place, url: str) -> bool:
    """Whether a node came online in time.

    Raises:
        LocalError: The node ended; the message holds the end of its log.
    """
    api = LocalApi(url, place.data_dir)
    deadline = time.monotonic() + NODE_READY_S
    while time.monotonic() < deadline:
        if api.get("/api/v1/nodes?status=online")["count"]:
            return True
        if local_process.running(place.pid_file("node")) is None:
            raise LocalError(f"The node did not start:\n{log_tail(place, 'node')}")
        time.sleep(0.1)
    return False


def stop(place: Place, name: str) -> local_process.Ending:
    """Ends the server or the node that was started here, and nothing else."""
    grace_s = SERVER_GRACE_S if name == "server" else NODE_GRACE_S
    with place.locked():
        return local_process.stop(place.pid_file(name), grace_s=grace_s)


def log_tail(place: Place, name: str) -> str:
    """The last lines of a log, indented, and where the rest is."""
    log_file = place.log_file(name)
    try:
        lines = log_file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([*(f"  {line}" for line in lines), f"  (all of it: {log_file})"])


def has_terminal() -> bool:
    """Whether a person can look at a console here."""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"
