"""Which addresses a test may contact; pure, resolves nothing.

Explicit networks instead of `ipaddress.is_global`, which calls translated loopback addresses,
multicast and others global. Sources: the IANA special-purpose address registries (RFC 6890),
RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP).
"""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


INSIDE: Final = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"
)
"""Networks of organisations and providers. Proxies are there; what a proxy leads to is not."""
METADATA: Final = _networks(
    "169.254.169.254/32", "100.100.100.200/32", "fd00:ec2::254/128", "fd20:ce::254/128"
)
"""Services of clouds that give out credentials."""
NOWHERE: Final = _networks(
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
"""This machine, its link, documentation, multicast, and IPv6 forms that lead on to IPv4."""

_NAT64: Final = _networks("64:ff9b::/96", "64:ff9b:1::/48")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be contacted although it is denied: networks, and hosts by their names."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entries: Sequence[str]) -> Self:
        """From a setting: addresses, networks in CIDR form, and names.

        Raises:
            ValueError: One is none of them.
        """
        networks, names = [], set()
        for entry in entries:
            text = entry.strip().removeprefix("[").removesuffix("]")
            try:
                networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                if "/" in text or literal(text) is not None:
                    raise ValueError(f"{entry} is no network") from None
                names.add(host_name(text))
        return cls(tuple(networks), frozenset(names))

    def has(self, address: Address) -> bool:
        """Whether an address is in one of the networks."""
        return _within(address, self.networks)


def host_name(host: str) -> str:
    """A host as a resolver gets it: ASCII, small letters, without a dot at its end.

    Raises:
        ValueError: It can be none.
    """
    bare = host.rstrip(".").lower() if host.isascii() else host
    if "%" in bare or not bare or len(bare) > 253 or any(char.isspace() for char in bare):
        raise ValueError("no host")
    if ":" in bare:
        ipaddress.IPv6Address(bare)
        return bare
    try:
        name = bare.encode("idna").decode("ascii").rstrip(".").lower()
    except UnicodeError:
        raise ValueError("no host") from None
    if not name or any(
        char in "/\\@?#[]<>\"'" or ord(char) <= 32 or char == "\x7f" for char in name
    ):
        raise ValueError("no host")
    return name


def literal(host: str) -> Address | None:
    """The address a host is written as, in whatever form a resolver takes for one: ``127.1``,
    ``0x7f000001``, ``2130706433``, ``0177.0.0.1``, ``[::1]``. None for a name.
    """
    bare = host.removeprefix("[").removesuffix("]").rstrip(".")
    with suppress(ValueError):
        return ipaddress.ip_address(bare)
    with suppress(OSError, UnicodeError):
        if bare and not any(char.isspace() for char in bare):
            return ipaddress.IPv4Address(socket.inet_aton(bare))
    return None


def plain(address: Address) -> Address:
    """An IPv4 address that is written as IPv6 (``::ffff:127.0.0.1``) as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def meant(address: Address) -> Iterator[Address]:
    """The address, and every IPv4 address that is inside it and packets to it may end at."""
    address = plain(address)
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    low = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if number >> 32 == 0 or _within(address, _NAT64) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield low
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def is_denied(address: Address, allowed: Allowed, *, inside: bool = False) -> bool:
    """Whether nothing may be sent to an address.

    Args:
        inside: Networks of organisations are no reason; services of clouds stay one.
    """
    return any(
        _is_special(each, inside=inside) and not allowed.has(each) for each in meant(address)
    )


def _is_special(address: Address, *, inside: bool) -> bool:
    if _within(address, METADATA) or _within(address, NOWHERE):
        return True
    return not inside and _within(address, INSIDE)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
