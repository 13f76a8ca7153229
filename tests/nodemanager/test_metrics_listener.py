"""A node's ``/metrics`` by HTTPS: strict on both sides, and a silent reader holds up nobody."""

import contextlib
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from prometheus_client import CollectorRegistry, Gauge

from runwatch_nodemanager.metrics_listener import served, tls_of
from runwatch_server.certificates import TlsFiles, ensure_certificates
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import NodeSettings
from runwatch_shared.tls import client_context
from tests.clock import ManualClock


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return made(tmp_path_factory.mktemp("tls"))


def made(folder: Path) -> TlsFiles:
    return ensure_certificates(folder, ["127.0.0.1", "localhost"], ManualClock())


def settings_of(files: TlsFiles, **further: Any) -> NodeSettings:
    return NodeSettings(
        metrics_tls_cert=str(files.cert_pem), metrics_tls_key=str(files.key_pem), **further
    )


def reader_of(files: TlsFiles, path: Path) -> Path:
    """A file with key and certificate of a reader whom this authority vouches for."""
    authority = x509.load_pem_x509_certificate(files.ca_pem.read_bytes())
    authority_key = load_pem_private_key((files.ca_pem.parent / "ca-key.pem").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prometheus")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(authority.not_valid_before_utc)
        .not_valid_after(authority.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = Encoding.PEM
    path.write_bytes(
        key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(pem)
    )
    return path


@contextlib.contextmanager
def listening(settings: NodeSettings) -> Iterator[int]:
    registry = CollectorRegistry()
    Gauge("told", "Something to tell.", registry=registry).set(7)
    with served(registry, "127.0.0.1", 0, tls_of(settings)) as port:
        yield port


def read(port: int, context: ssl.SSLContext | None = None) -> str:
    url = f"http{'s' if context else ''}://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        text: str = answer.read().decode()
    return text


def test_metrics_are_read_over_tls_by_who_trusts_the_authority(files: TlsFiles) -> None:
    with listening(settings_of(files)) as port:
        assert "told 7.0" in read(port, client_context(files.ca_pem))
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            read(port, ssl.create_default_context())
        with pytest.raises(OSError):  # noqa: PT011  # whatever the connection ends with
            read(port)
        assert "told 7.0" in read(port, client_context(files.ca_pem))


def test_who_neither_speaks_nor_leaves_holds_up_nobody(files: TlsFiles) -> None:
    with listening(settings_of(files)) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(20)]
        assert "told 7.0" in read(port, client_context(files.ca_pem))
        for each in silent:
            each.close()
        assert "told 7.0" in read(port, client_context(files.ca_pem))


def test_a_reader_without_a_certificate_of_the_authority_is_refused(
    files: TlsFiles, tmp_path: Path
) -> None:
    with listening(settings_of(files, metrics_client_ca=str(files.ca_pem))) as port:
        known = client_context(files.ca_pem)
        known.load_cert_chain(reader_of(files, tmp_path / "known.pem"))
        assert "told 7.0" in read(port, known)
        stranger = client_context(files.ca_pem)
        stranger.load_cert_chain(reader_of(made(tmp_path / "other"), tmp_path / "stranger.pem"))
        for refused in (client_context(files.ca_pem), stranger):
            with pytest.raises(OSError):  # noqa: PT011  # an alert now, or the end of it
                read(port, refused)


def test_without_certificate_it_is_plain_http() -> None:
    with listening(NodeSettings()) as port:
        assert "told 7.0" in read(port)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metrics_tls_cert": "/c"}, "go together"),
        ({"metrics_tls_key": "/k"}, "go together"),
        ({"metrics_client_ca": "/a"}, "needs metrics_tls_cert"),
        ({"metrics_tls_cert": "/no/c", "metrics_tls_key": "/no/k"}, "cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_say_which(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        tls_of(NodeSettings(**given))


def test_an_authority_that_cannot_be_read_is_named(files: TlsFiles) -> None:
    with pytest.raises(SettingsError, match="metrics_client_ca /no/such"):
        tls_of(settings_of(files, metrics_client_ca="/no/such"))
