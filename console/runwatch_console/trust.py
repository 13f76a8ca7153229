"""Whether the server's certificate is trusted, and what to say when it is not; trust itself is
`tls.client_context`, which always verifies.
"""

import asyncio
import ssl
from typing import Final

from runwatch_console.contexts import Access
from runwatch_console.ports import ApiError
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
