"""The TLS context that trusts one pin and nothing else, and the look at what a server offers.

The only place of the console where a handshake is made without verification: to show a person what
a server offers. That connection ends with its handshake; nothing is ever sent on it.
"""

import asyncio
import hashlib
import hmac
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

from runwatch_console.pins import Pin, PinKind

LOOK_S: Final = 3.0
"""How long one look may take."""

NOT_ABOUT_TRUST: Final = frozenset({9, 10, 62, 64})
"""OpenSSL's X509_V_ERR codes for a chain whose authority is known: not yet valid, expired, another
host name, another address. Trust would not mend them.
"""


class PinMismatchError(ssl.SSLCertVerificationError):
    """The server showed another certificate than the one that is remembered."""

    def __init__(self) -> None:
        super().__init__(1, "the certificate is not the one that is remembered")
        self.verify_code = 0
        self.verify_message = "the certificate is not the one that is remembered"


def pinned_context(pin: Pin) -> ssl.SSLContext:
    """A context for clients that trusts this pin alone, TLS 1.2 or newer.

    An authority's is verified as any other: chain, time and host name. A certificate's must be this
    very one, compared before the handshake counts as done, so before anything is sent; the host
    name is not looked at, as the pin is kept for one host and port.

    Raises:
        OSError: (``ssl.SSLError``) the pin is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pin.certificate)
    if pin.kind is PinKind.AUTHORITY:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    expected = hashlib.sha256(pin.certificate).digest()

    class PinnedObject(ssl.SSLObject):
        """What asyncio drives; a plain socket would not be compared, so there is none."""

        def do_handshake(self) -> None:
            super().do_handshake()
            shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
            if not hmac.compare_digest(shown, expected):
                raise PinMismatchError

    context.sslobject_class = PinnedObject
    context.sslsocket_class = _NoSocket
    return context


class _NoSocket(ssl.SSLSocket):
    """Nothing of the console uses one with a pin."""

    @classmethod
    def _create(cls, *args: Any, **kwargs: Any) -> "_NoSocket":
        raise ssl.SSLError("a pinned certificate is checked over asyncio only")


async def offered_chain(host: str, port: int) -> Sequence[bytes]:
    """What a server shows, its own certificate first, as DER; empty where it offers none."""
    try:
        async with asyncio.timeout(2 * LOOK_S):
            return await asyncio.to_thread(_look, host, port)
    except (OSError, ValueError):
        return ()


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


async def shake_hands(context: ssl.SSLContext, host: str, port: int) -> None:
    """One handshake, nothing after it.

    Raises:
        OSError: It failed (``ssl.SSLError``), or nobody answered in time.
    """
    async with asyncio.timeout(LOOK_S):
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    writer.transport.abort()


async def why_not_pinned(pin: Pin, host: str, port: int) -> ssl.SSLError | None:
    """Why a handshake with this pin alone fails; None when it succeeds."""
    try:
        await shake_hands(pinned_context(pin), host, port)
    except ssl.SSLError as error:
        return error
    except OSError as error:
        return ssl.SSLError(str(error) or "no answer in time")
    return None


def pin_candidates(chain: Sequence[bytes]) -> tuple[Pin, ...]:
    """What could be remembered of a chain, the best first: its root, if it shows one beyond its own
    certificate, else that certificate.

    An authority in the middle is none: a public one signs for everybody, and changes often.
    """
    roots = [each for each in chain[1:] if _is_root(each)]
    return (
        *(Pin(kind=PinKind.AUTHORITY, certificate=root) for root in roots[-1:]),
        *(Pin(kind=PinKind.CERTIFICATE, certificate=leaf) for leaf in chain[:1]),
    )


def _is_root(certificate: bytes) -> bool:
    """Whether it is an authority's and names itself as its issuer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=certificate)
    except (OSError, ValueError):
        return False
    return any(found.get("subject") == found.get("issuer") for found in context.get_ca_certs())
