"""The TLS context that trusts one pin and nothing else; the look at what a server offers is in
`runwatch_shared.offered`.
"""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Sequence
from typing import Any, Final

from runwatch_console.pins import Pin, PinKind
from runwatch_shared.offered import LOOK_S, is_root

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
    roots = [each for each in chain[1:] if is_root(each)]
    return (
        *(Pin(kind=PinKind.AUTHORITY, certificate=root) for root in roots[-1:]),
        *(Pin(kind=PinKind.CERTIFICATE, certificate=leaf) for leaf in chain[:1]),
    )
