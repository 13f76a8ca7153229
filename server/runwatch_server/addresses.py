"""What settings say of addresses: who may reach the listener, how, and where the data is."""

import ipaddress
import socket
from pathlib import Path
from typing import Final

from runwatch_server.admission import Mode
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings

WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})


def access_mode(settings: ServerSettings) -> Mode:
    """``local`` only where every listener is loopback (contract 2.2).

    Raises:
        SettingsError: ``auth`` is ``local`` beyond loopback.
    """
    loopback = is_loopback(settings.host)
    if settings.auth == "local" and not loopback:
        raise SettingsError(
            f"auth: local needs a loopback address, and host is {settings.host}; use --auth on"
        )
    if settings.auth:
        return settings.auth
    return "local" if loopback else "on"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address of this name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def database_url(settings: ServerSettings) -> str:
    """The URL that was set, else SQLite in the data directory."""
    return settings.database or f"sqlite:///{Path(settings.data_dir) / 'runwatch.db'}"


def base_url(settings: ServerSettings, listener: socket.socket) -> str:
    """How clients on this machine reach the listener."""
    port = listener.getsockname()[1]
    host = "127.0.0.1" if settings.host in WILDCARDS else settings.host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{shown}:{port}"
