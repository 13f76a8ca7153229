"""Where a node's container engine is, and that it can be reached safely; asks it nothing."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runwatch_shared.errors import RunwatchError

SYSTEM_SOCKETS: Final = {
    "docker": ("/var/run/docker.sock", "{run}/docker.sock"),
    "podman": ("{run}/podman/podman.sock", "/run/podman/podman.sock"),
}
"""Where engines listen that were not told otherwise; ``{run}`` is ``XDG_RUNTIME_DIR``."""


class EngineError(RunwatchError):
    """The engine refused; the message is its own, in one line."""


class EngineUnreachableError(EngineError):
    """No engine answers there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where an engine is. ``cert_path``: a folder with ``ca.pem``, ``cert.pem``, ``key.pem``."""

    url: str
    cert_path: str = ""

    @property
    def socket(self) -> Path | None:
        """Its socket, where it is a file of this machine."""
        parts = urlsplit(self.url)
        return Path(parts.path) if parts.scheme == "unix" else None


def find_engine(
    wanted: str, *, kind: str, environment: Mapping[str, str] = os.environ
) -> EngineAddress:
    """``wanted``, else ``DOCKER_HOST``, else the first usual socket that is there, ``kind`` first.

    Raises:
        EngineError: There is none, or it is reached in a way that is not safe or not known.
    """
    url = wanted or environment.get("DOCKER_HOST", "") or _usual_socket(kind, environment)
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path.startswith("/"):
        return EngineAddress(url=url)
    if parts.scheme not in ("tcp", "http", "https"):
        raise EngineError(f"a container engine is reached by unix:// or tcp://, not {url!r}")
    cert_path = environment.get("DOCKER_CERT_PATH", "")
    if not cert_path and environment.get("DOCKER_TLS_VERIFY"):
        cert_path = str(Path("~/.docker").expanduser())
    if not cert_path and not _loopback(parts.hostname or ""):
        raise EngineError(
            "a container engine over the network needs TLS: DOCKER_CERT_PATH names the folder of "
            "ca.pem, cert.pem and key.pem"
        )
    return EngineAddress(url=url, cert_path=cert_path)


def engine_socket(wanted: str) -> Path | None:
    """The socket of the engine that ``find_engine`` finds, where there is one and it is a file."""
    try:
        return find_engine(wanted, kind="docker").socket
    except EngineError:
        return None


def _usual_socket(kind: str, environment: Mapping[str, str]) -> str:
    run = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    kinds = sorted(SYSTEM_SOCKETS, key=lambda name: name != kind)
    places = [place.format(run=run) for name in kinds for place in SYSTEM_SOCKETS[name]]
    for place in places:
        if Path(place).exists():
            return f"unix://{place}"
    raise EngineUnreachableError(
        "no container engine was found: start its service or set DOCKER_HOST"
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
