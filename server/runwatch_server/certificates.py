"""The server's own authority and its certificate, made on first start and renewed in time.

No sockets and no settings: a directory and host names in, files out. ``cryptography`` is loaded
only here.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runwatch_shared.clock import Clock

LEAF_LIFE: Final = timedelta(days=90)
AUTHORITY_LIFE: Final = timedelta(days=3650)
RENEW_AFTER: Final = LEAF_LIFE * 2 / 3
CLOCK_TOLERANCE: Final = timedelta(hours=1)
"""Certificates begin this much earlier: a client's clock may be behind ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFiles:
    """Where the server's certificates lie."""

    ca_pem: Path
    cert_pem: Path
    """The leaf, then its authority."""
    key_pem: Path
    not_after: datetime
    """When the leaf ends; aware, UTC."""
    renewed: bool
    """Whether this call wrote a new leaf."""


def ensure_certificates(directory: Path, hosts: Sequence[str], clock: Clock) -> TlsFiles:
    """Certificates for these host names and addresses, made or renewed where they must be.

    A leaf of 90 days (ECDSA P-256) is replaced after two thirds of its life, when a host is missing
    in it, or when it cannot be used; the authority stays, so clients that trust it notice nothing.
    Keys are made with mode 0600 and never written over in place.

    Raises:
        OSError: The directory cannot be used.
        ValueError: The authority's files are damaged or do not belong together; or no host.
    """
    if not hosts:
        raise ValueError("a certificate needs at least one host name or address")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = clock.now()
    files = {name: directory / f"{name}.pem" for name in ("ca", "ca-key", "cert", "key")}
    authority, authority_key = _load_or_make_authority(files["ca"], files["ca-key"], now)
    leaf = _usable_leaf(files["cert"], files["key"], authority, hosts, now)
    renewed = leaf is None
    if leaf is None:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _make_leaf(key, authority, authority_key, hosts, now)
        _write(files["key"], _key_pem(key), 0o600)
        _write(files["cert"], _pem(leaf) + _pem(authority), 0o644)
    return TlsFiles(
        ca_pem=files["ca"],
        cert_pem=files["cert"],
        key_pem=files["key"],
        not_after=leaf.not_valid_after_utc,
        renewed=renewed,
    )


def is_root(pem: str) -> bool:
    """Whether a certificate names itself as its issuer.

    Raises:
        ValueError: The text holds no certificate.
    """
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return certificate.subject == certificate.issuer


def end_of(pem: str) -> datetime:
    """When the first certificate of a text ends; aware, UTC.

    Raises:
        ValueError: The text holds no certificate.
    """
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc


def _load_or_make_authority(
    certificate_file: Path, key_file: Path, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if certificate_file.exists() and key_file.exists():
        authority = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file} holds no elliptic curve key")
        if key.public_key() != authority.public_key():
            raise ValueError(f"{key_file} is not the key of {certificate_file}; remove both")
        if now < authority.not_valid_after_utc - LEAF_LIFE:
            return authority, key
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _make_authority(key, now)
    _write(key_file, _key_pem(key), 0o600)
    _write(certificate_file, _pem(authority), 0o644)
    return authority, key


def _usable_leaf(
    certificate_file: Path,
    key_file: Path,
    authority: x509.Certificate,
    hosts: Sequence[str],
    now: datetime,
) -> x509.Certificate | None:
    """The leaf on disk if it can go on being used; None asks for a new one."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        leaf.verify_directly_issued_by(authority)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return None
    begun = leaf.not_valid_before_utc
    fits = (
        key.public_key() == leaf.public_key()
        and {_general_name(host) for host in hosts} <= set(names)
        and begun <= now < begun + RENEW_AFTER
    )
    return leaf if fits else None


def _make_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    public = key.public_key()
    # The name carries the key's mark: two authorities of one name confuse verifiers.
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    name = _name(f"Runwatch CA {identifier.digest.hex()[:8]}")
    builder = _builder(public, name, name, now, AUTHORITY_LIFE)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _make_leaf(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    hosts: Sequence[str],
    now: datetime,
) -> x509.Certificate:
    public = key.public_key()
    issuer_identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    names = [_general_name(host) for host in dict.fromkeys(hosts)]
    builder = _builder(public, _name("Runwatch server"), authority.subject, now, LEAF_LIFE)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier.value),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    public: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now - CLOCK_TOLERANCE + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host.encode("idna").decode("ascii"))


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    """Beside it first, never followed through a link, then in its place at once."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
    draft.replace(file)
