"""Certificates for tests: authorities of their own, and every way a certificate can be wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runwatch_console.pins import fingerprint_of
from runwatch_server.certificates import TlsFiles, ensure_certificates
from runwatch_shared.clock import SystemClock

HOSTS = ("localhost", "127.0.0.1")


class ClockAt:
    """A clock that stands so many days from now."""

    def __init__(self, days: float) -> None:
        self.days = days

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.days)

    def now_us(self) -> int:
        return int(self.now().timestamp() * 1_000_000)


@dataclass(frozen=True)
class Served:
    """A certificate with its key, and who signed it."""

    cert_pem: Path
    key_pem: Path
    ca_pem: Path

    @property
    def pair(self) -> tuple[Path, Path]:
        return self.cert_pem, self.key_pem

    @property
    def ca_fingerprint(self) -> str:
        return fingerprint_of(der_of(self.ca_pem))

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(der_of(self.cert_pem))


def der_of(path: Path) -> bytes:
    """The first certificate of a file."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.public_bytes(serialization.Encoding.DER)


def served(directory: Path, *hosts: str, days: float = 0) -> Served:
    """What a server of ours makes, `days` from now; the authority of a directory stays."""
    clock = ClockAt(days) if days else SystemClock()
    return _served(ensure_certificates(directory, hosts or HOSTS, clock))


def renewed(before: Served) -> Served:
    """Another certificate of the same authority."""
    before.cert_pem.unlink()
    return served(before.cert_pem.parent)


def without_authority(whole: Served) -> Served:
    """The same, shown without its authority."""
    path = whole.cert_pem.with_name("alone.pem")
    certificate = x509.load_pem_x509_certificate(whole.cert_pem.read_bytes())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Served(path, whole.key_pem, whole.ca_pem)


def with_authority_of(leaf: Served, other: Served) -> Served:
    """Somebody's certificate shown with the authority of somebody else behind it."""
    path = leaf.cert_pem.with_name("borrowed.pem")
    certificate = x509.load_pem_x509_certificate(leaf.cert_pem.read_bytes())
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM) + other.ca_pem.read_bytes()
    )
    return Served(path, leaf.key_pem, other.ca_pem)


def self_signed(directory: Path, host: str, *, days: float = 30) -> Served:
    """What `openssl req -x509` makes: its own authority; ends in `days`."""
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path, key_path = directory / "cert.pem", directory / "key.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Served(path, key_path, path)


def _served(files: TlsFiles) -> Served:
    return Served(files.cert_pem, files.key_pem, files.ca_pem)
