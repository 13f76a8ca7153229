"""Where a request says it comes from and goes to: the rules for ``Host`` and ``Origin``.

Source: contract 2.2. They keep a web page from using a server on the reader's machine: by another
name for its address (rebinding), or by a request the page may send anywhere (CSRF, sockets).
"""

import ipaddress
from collections.abc import Collection
from typing import Final

from runwatch_shared.errors import RefusedError

_LOOPBACK_V4: Final = ipaddress.ip_network("127.0.0.0/8")


def host_name(host: str) -> str:
    """The name or address of a ``Host`` header, lower case, without its port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_loopback(name: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (
        address in _LOOPBACK_V4 if address.version == 4 else address == ipaddress.ip_address("::1")
    )


def check_host(host: str | None, allowed: Collection[str]) -> None:
    """403 unless a request without a credential names this machine, or a host that is allowed."""
    name = host_name(host or "")
    if not is_loopback(name) and name not in {host_name(other) for other in allowed}:
        raise RefusedError(
            "host_not_allowed",
            "without a credential this server answers only to its own machine's names; "
            "see the setting allowed_hosts",
        )


def check_origin(
    origin: str | None, host: str | None, scheme: str, allowed: Collection[str]
) -> None:
    """403 unless an ``Origin``, where one is sent, is the host itself or is allowed."""
    if origin is None or origin in allowed:
        return
    if origin == "null" or not host or origin != f"{scheme}://{host}":
        raise RefusedError(
            "origin_not_allowed",
            "requests of this web origin are not allowed; see the setting allowed_origins",
        )
