"""What is remembered of a server's certificate, and what a server offers that nobody vouches for;
records without network and without files.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runwatch_shared import tls

PREFIX: Final = "SHA256:"
LONGEST_CERTIFICATE_BYTES: Final = 16 * 1024


class PinKind(StrEnum):
    """What is trusted from now on."""

    AUTHORITY = "ca"
    """Whatever this authority signs for the host: a renewed certificate goes unnoticed."""
    CERTIFICATE = "cert"
    """This certificate alone, whatever name stands in it: the server showed no authority."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One certificate that a person said yes to."""

    kind: PinKind
    certificate: bytes
    """DER."""

    @property
    def fingerprint(self) -> str:
        """`SHA256:AB:CD:…`, as `monitor-server fingerprint` and openssl print it."""
        return fingerprint_of(self.certificate)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedCertificate:
    """What a server showed in a handshake that ended there: nothing was sent to it."""

    host: str
    port: int
    leaf: bytes
    """DER of its own certificate."""
    pin: Pin
    """What would be remembered."""
    known_hosts: str
    """The file where it would be remembered; empty when it may not be."""
    may_be_trusted: bool
    """Whether a person may be asked."""
    problem: str = ""
    """Why it could not be used even if it were trusted: expired, another name."""

    @property
    def server(self) -> str:
        """`box:8080`, `[::1]:8080`."""
        return server_name(self.host, self.port)

    @property
    def leaf_fingerprint(self) -> str:
        """`SHA256:AB:CD:…` of the server's own certificate."""
        return fingerprint_of(self.leaf)


def fingerprint_of(certificate: bytes) -> str:
    """`SHA256:AB:CD:…` of a certificate in DER."""
    return PREFIX + tls.fingerprint_of(certificate)


def server_name(host: str, port: int) -> str:
    """`box:8080`, `[::1]:8080`."""
    bare = host.casefold()
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def same_fingerprint(one: str, other: str) -> bool:
    """Whether two SHA-256 fingerprints agree, however they are written."""
    return is_fingerprint(one) and _digits(one) == _digits(other)


def is_fingerprint(text: str) -> bool:
    """Whether it is a SHA-256 fingerprint, with or without prefix and colons."""
    digits = _digits(text)
    return len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits)


def _digits(text: str) -> str:
    folded = text.strip().casefold()
    return folded.removeprefix(PREFIX.casefold()).replace(":", "").replace(" ", "")
