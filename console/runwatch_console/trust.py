"""Whether the server's certificate is trusted, and what to say when it is not; trust itself is
`tls.client_context`, which always verifies.
"""

import asyncio
import socket
import ssl
from typing import Final

from runwatch_console.contexts import Access
from runwatch_console.ports import ApiError, LossReason
from runwatch_console.reasons import causes
from runwatch_shared.tls import fingerprint

LOOK_S: Final = 3.0
"""How long the look at a refused certificate may take."""


class UntrustedCertificateError(ApiError):
    """The server's certificate is not signed by anybody we trust; nothing was sent to it.

    `fingerprint` is the SHA-256 of what it offered, `AB:CD:…`, None where it could not be read.
    """

    def __init__(self, error: str, offered: str | None) -> None:
        super().__init__("untrusted_certificate", error)
        self.fingerprint = offered


def certificate_failure(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The failed verification behind an error, however deep a library buried it."""
    failures = (c for c in causes(error) if isinstance(c, ssl.SSLCertVerificationError))
    return next(failures, None)


def explain_failure(failure: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's own sentence: `self-signed certificate`, `Hostname mismatch, …`."""
    return failure.verify_message or failure.reason or "certificate verify failed"


_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's reasons for an answer that is no TLS at all."""


async def wrong_scheme(error: BaseException, access: Access) -> LossReason | None:
    """Whether a connection failed because one side speaks TLS and the other does not.

    An address that took an http request and hung up is looked at once more: does it offer a
    certificate? One that refuses or does not answer is not.
    """
    found = list(causes(error))
    if access.secure:
        tls = (each for each in found if isinstance(each, ssl.SSLError))
        return LossReason.NO_TLS if any(each.reason in _NOT_TLS for each in tls) else None
    if any(isinstance(each, _NO_ANSWER) for each in found):
        return None
    return LossReason.NEEDS_TLS if await offered_fingerprint(access) is not None else None


_NO_ANSWER: Final = (ConnectionRefusedError, TimeoutError, socket.gaierror)


async def offered_fingerprint(access: Access) -> str | None:
    """SHA-256 of the certificate the server offers, for a person to compare; None if there is none.

    Reads the certificate and hangs up: this connection carries no request and no credential.
    """
    try:
        async with asyncio.timeout(LOOK_S + 1):
            pem = await asyncio.to_thread(
                ssl.get_server_certificate, (access.host, access.port), timeout=LOOK_S
            )
        return fingerprint(pem)
    except (OSError, ValueError):
        return None
