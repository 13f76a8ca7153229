"""Where alerts go, from the settings alone, checked before anything is sent.

Nothing anybody sends to the server ever decides an address (threat T10 of the reliability
requirements).
"""

import ipaddress
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runwatch_server.alerts.kinds import KINDS, USUAL_KINDS
from runwatch_server.alerts.signing import keys_of
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings
from runwatch_shared.text import has_control
from runwatch_shared.tls import client_context

_WANTABLE: Final = tuple(kind for kind in KINDS if kind != "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A receiver. Its URL and keys are secrets: chat tools put a password into the path."""

    url: str = field(repr=False)
    host: str
    """For people and logs."""
    keys: tuple[bytes, ...] = field(repr=False)
    trust: ssl.SSLContext = field(repr=False)
    timeout_s: float


def kinds_of(settings: ServerSettings) -> frozenset[str]:
    """The kinds of alerts that are wanted.

    Raises:
        SettingsError: There is no such kind.
    """
    for kind in settings.webhook_kinds:
        if kind not in _WANTABLE:
            raise SettingsError(f"webhook_kinds: {kind} is none of {', '.join(_WANTABLE)}")
    return frozenset(settings.webhook_kinds) or USUAL_KINDS


def target_of(settings: ServerSettings) -> Target | None:
    """The receiver of the settings; None where there is none.

    Raises:
        SettingsError: A setting whose name begins with ``webhook_`` cannot be used.
    """
    if not settings.webhook_url:
        return None
    kinds_of(settings)
    for name in ("webhook_queue", "webhook_attempts", "webhook_give_up_s", "webhook_timeout_s"):
        if getattr(settings, name) <= 0:
            raise SettingsError(f"{name} must be more than 0")
    return Target(
        url=settings.webhook_url,
        host=_host(settings.webhook_url, plain_http=settings.webhook_plain_http),
        keys=keys_of(settings.webhook_secret),
        trust=_trust(settings.webhook_ca),
        timeout_s=settings.webhook_timeout_s,
    )


def _host(url: str, *, plain_http: bool) -> str:
    """The host of a URL that may be used; what is wrong is said without quoting the URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError("webhook_url is no URL") from None
    if not host or has_control(url) or any(part.isspace() for part in url):
        raise SettingsError("webhook_url is no URL")
    if parts.scheme not in {"https", "http"}:
        raise SettingsError("webhook_url must begin with https://")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise SettingsError("webhook_url must have neither a user name nor a fragment")
    if port == 0 or not _may_be_sent_to(host):
        raise SettingsError(f"webhook_url: nothing can be sent to {host}")
    if parts.scheme == "http" and not plain_http and not _is_loopback(host):
        raise SettingsError(
            "webhook_url: http would show alerts to everybody on the way; "
            "use https, or set webhook_plain_http"
        )
    return host if port is None else f"{host}:{port}"


def _may_be_sent_to(host: str) -> bool:
    """False for addresses that are no receiver, a cloud's metadata service among them."""
    address = _address(host)
    return address is None or not (
        address.is_link_local or address.is_multicast or address.is_unspecified
    )


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a host is written as, in whatever form the system's resolver takes for one
    (``127.1``, ``0x7f000001``); None for a name.
    """
    bare = host.removesuffix(".")
    with suppress(ValueError):
        address = ipaddress.ip_address(bare)
        return getattr(address, "ipv4_mapped", None) or address
    with suppress(OSError):
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    return None


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return client_context(Path(ca).expanduser() if ca else None)
    except OSError as error:
        raise SettingsError(f"webhook_ca cannot be used: {error.strerror or error}") from error
