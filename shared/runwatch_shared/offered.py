"""What a server shows in a handshake that trusts nobody; the only place where one is made so.

That connection ends with its handshake: nothing is ever sent on it, and what it showed is looked at
by a person, or held against a fingerprint that came another way, before anything else is done.
Standard library only.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Final

LOOK_S: Final = 3.0
"""How long one look may take."""


async def offered_chain(host: str, port: int) -> Sequence[bytes]:
    """What a server shows, its own certificate first, as DER; empty where it offers none."""
    try:
        async with asyncio.timeout(2 * LOOK_S):
            return await asyncio.to_thread(_look, host, port)
    except (OSError, ValueError):
        return ()


def is_root(certificate: bytes) -> bool:
    """Whether it is an authority's and names itself as its issuer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=certificate)
    except (OSError, ValueError):
        return False
    return any(found.get("subject") == found.get("issuer") for found in context.get_ca_certs())


def _look(host: str, port: int) -> Sequence[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=LOOK_S) as connection,
        context.wrap_socket(connection, server_hostname=host) as tls,
    ):
        return _chain(tls)


def _chain(tls: ssl.SSLSocket) -> Sequence[bytes]:
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return tuple(public())
    # Python has a public way from 3.13 on (https://github.com/python/cpython/issues/109109).
    private = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
    if private is not None:
        return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in private())
    leaf = tls.getpeercert(binary_form=True)
    return () if leaf is None else (leaf,)
