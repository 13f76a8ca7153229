"""The server's certificates verify strictly, are renewed in time, and their keys stay private."""

import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from runwatch_server.certificates import LEAF_LIFE, TlsFiles, ensure_certificates
from runwatch_shared.clock import SystemClock
from runwatch_shared.tls import client_context, fingerprint
from tests.clock import ManualClock

HOSTS = ("localhost", "127.0.0.1", "::1", "monitor.example")


def shake_hands(files: TlsFiles, host: str) -> str:
    """A whole TLS handshake in memory; the version agreed upon.

    Raises:
        ssl.SSLError: Either side refused.
    """
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.cert_pem, files.key_pem)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(files.ca_pem).wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    left = [client, server]
    for _ in range(10):
        for side in list(left):
            try:
                side.do_handshake()
                left.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not left:
            return client.version() or ""
    raise AssertionError("the handshake did not end")


def leaf_of(files: TlsFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.cert_pem.read_bytes())


@pytest.mark.parametrize("host", HOSTS)
def test_a_strict_client_accepts_every_host_it_was_made_for(tmp_path: Path, host: str) -> None:
    files = ensure_certificates(tmp_path / "tls", HOSTS, SystemClock())
    assert shake_hands(files, host) == "TLSv1.3"


def test_a_client_refuses_another_host_and_another_authority(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "one", ["localhost"], SystemClock())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(files, "elsewhere.example")
    other = ensure_certificates(tmp_path / "two", ["localhost"], SystemClock())
    mixed = TlsFiles(
        ca_pem=other.ca_pem,
        cert_pem=files.cert_pem,
        key_pem=files.key_pem,
        not_after=files.not_after,
        renewed=False,
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(mixed, "localhost")


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "tls", HOSTS, SystemClock())
    assert files.key_pem.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls" / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert {file.name for file in (tmp_path / "tls").iterdir()} == {
        "ca.pem",
        "ca-key.pem",
        "cert.pem",
        "key.pem",
    }


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    first = ensure_certificates(tmp_path, HOSTS, clock)
    contents = {file: file.read_bytes() for file in tmp_path.iterdir()}
    second = ensure_certificates(tmp_path, HOSTS[:2], clock)
    assert (first.renewed, second.renewed) == (True, False)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == contents


def test_a_leaf_is_renewed_after_two_thirds_of_its_life_under_the_same_authority(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    first = ensure_certificates(tmp_path, HOSTS, clock)
    authority = first.ca_pem.read_text()
    clock.advance(timedelta(days=59).total_seconds())
    assert not ensure_certificates(tmp_path, HOSTS, clock).renewed
    clock.advance(timedelta(days=1).total_seconds())
    renewed = ensure_certificates(tmp_path, HOSTS, clock)
    assert renewed.renewed
    assert renewed.not_after - first.not_after == timedelta(days=60)
    assert fingerprint(renewed.ca_pem.read_text()) == fingerprint(authority)


def test_a_new_host_gets_a_new_leaf(tmp_path: Path) -> None:
    clock = ManualClock()
    ensure_certificates(tmp_path, ["localhost"], clock)
    assert ensure_certificates(tmp_path, ["localhost", "10.0.0.7"], clock).renewed


@pytest.mark.parametrize("damaged", ["cert.pem", "key.pem"])
def test_a_damaged_leaf_is_replaced(tmp_path: Path, damaged: str) -> None:
    ensure_certificates(tmp_path, HOSTS, SystemClock())
    (tmp_path / damaged).write_text("damaged")
    files = ensure_certificates(tmp_path, HOSTS, SystemClock())
    assert files.renewed
    assert shake_hands(files, "localhost")


def test_an_authority_with_another_key_is_refused_with_what_to_do(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "one", HOSTS, SystemClock())
    ensure_certificates(tmp_path / "two", HOSTS, SystemClock())
    (tmp_path / "two" / "ca-key.pem").replace(tmp_path / "one" / "ca-key.pem")
    with pytest.raises(ValueError, match="remove both"):
        ensure_certificates(tmp_path / "one", HOSTS, SystemClock())


def test_the_certificates_carry_what_strict_verifiers_ask_for(tmp_path: Path) -> None:
    clock = ManualClock()
    files = ensure_certificates(tmp_path, HOSTS, clock)
    leaf = leaf_of(files)
    authority = x509.load_pem_x509_certificate(files.ca_pem.read_bytes())
    for certificate in (leaf, authority):
        extensions = certificate.extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).critical
        assert extensions.get_extension_for_class(x509.KeyUsage).critical
        kinds = {type(extension.value) for extension in extensions}
        assert {x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier} <= kinds
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == LEAF_LIFE
    assert files.not_after == leaf.not_valid_after_utc


@pytest.mark.parametrize("hosts", [[], ()])
def test_no_host_is_a_mistake_of_the_caller(tmp_path: Path, hosts: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ensure_certificates(tmp_path, hosts, SystemClock())
