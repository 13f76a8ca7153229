"""Ports of what is started here: which are wanted, whether they are free, when somebody answers."""

import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

from local_stack import LocalError

DEFAULTS: Final = {
    "PROMETHEUS_PORT": 9090,
    "GRAFANA_PORT": 3001,
    "POSTGRES_PORT": 5432,
    "MONGO_PORT": 27017,
}
HOST: Final = "127.0.0.1"


def wanted(environment: Mapping[str, str], name: str) -> int:
    """The port of this name: of the environment (make NAME=…), else the usual one.

    Raises:
        LocalError: It is no port.
    """
    text = environment.get(name) or str(DEFAULTS[name])
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LocalError(f"{name} must be a port, not {text!r}")
    return int(text)


def require_free(name: str, port: int) -> None:
    """Raises:
    LocalError: Somebody listens there already.
    """
    if answers(port):
        raise LocalError(
            f"Something listens on {HOST}:{port} already; choose another port with {name}=…"
        )


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], alive: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition came true before the limit and while the process was alive."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        if not alive():
            return False
        time.sleep(0.05)
    return False
