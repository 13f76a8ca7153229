"""What a trusted proxy says of the request it passes on: client, scheme and host.

``X-Forwarded-*`` of anybody else is ignored (contract 1.1, threat T18).
"""

import ipaddress
from collections.abc import Collection, MutableMapping
from typing import Any, Final

from runwatch_shared.errors import SettingsError

_SCHEMES: Final = {
    "http": {"http": "http", "https": "https"},
    "websocket": {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"},
}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Forwarding:
    """Rewrites the scope of a request that came through a trusted proxy.

    Args:
        trusted: Addresses and networks (``10.0.0.0/8``).

    Raises:
        SettingsError: One of them is neither.
    """

    def __init__(self, trusted: Collection[str]) -> None:
        try:
            self._trusted = tuple(ipaddress.ip_network(each, strict=False) for each in trusted)
        except ValueError as error:
            raise SettingsError(f"trusted_proxies: {error}") from error

    def apply(self, scope: MutableMapping[str, Any]) -> None:
        """Take client, scheme and host from the headers, if the peer may say so."""
        if not self._trusted or not self._trusts((scope.get("client") or ("",))[0]):
            return
        headers = dict(scope["headers"])
        if (chain := headers.get(b"x-forwarded-for")) is not None:
            scope["client"] = (self._first_untrusted(chain.decode("latin-1")), 0)
        protocol = headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip().lower()
        if (scheme := _SCHEMES[scope["type"]].get(protocol)) is not None:
            scope["scheme"] = scheme
        if (host := headers.get(b"x-forwarded-host")) is not None:
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            scope["headers"] = [*others, (b"host", host.strip())]

    def _first_untrusted(self, chain: str) -> str:
        """From the right: what a trusted proxy saw; further left anybody may have written."""
        hops = [hop.strip() for hop in chain.split(",") if hop.strip()]
        for hop in reversed(hops):
            if not self._trusts(hop):
                return hop
        return hops[0] if hops else ""

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)
