"""The client's side of TLS: contexts that verify, and fingerprints; no making of certificates.

Standard library only: the console must not load a cryptography library to open a connection.
"""

import base64
import binascii
import hashlib
import ssl
from pathlib import Path
from typing import Final

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies host and chain, TLS 1.2 or newer; there is none that does not.

    With ``ca_file`` that authority alone is trusted, else those of the system. Chains are checked
    strictly (RFC 5280), which Python 3.13 does by default.

    Raises:
        OSError: The file cannot be read, or (``ssl.SSLError``) holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=ca_file)
    return context


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate in the text, as ``AB:CD:…`` in 32 pairs.

    What a person compares with the line the server prints when it starts.

    Raises:
        ValueError: The text holds no certificate.
    """
    start = pem.find(_BEGIN)
    end = pem.find(_END, start)
    if start < 0 or end < 0:
        raise ValueError("no PEM certificate in the text")
    try:
        der = base64.b64decode("".join(pem[start + len(_BEGIN) : end].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("the PEM certificate is damaged") from error
    return fingerprint_of(der)


def fingerprint_of(certificate: bytes) -> str:
    """The same of a certificate in DER."""
    digest = hashlib.sha256(certificate).hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, len(digest), 2))
