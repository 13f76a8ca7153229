"""Clients verify, always; fingerprints are those that openssl prints."""

import hashlib
import ssl
from pathlib import Path

import pytest

from runwatch_shared.tls import client_context, fingerprint

DER = bytes(range(256))


def test_a_client_context_verifies_host_and_chain_strictly() -> None:
    context = client_context(None)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_authority_that_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client_context(tmp_path / "missing.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(OSError, match=r"PEM|certificate"):
        client_context(tmp_path / "empty.pem")


def test_a_fingerprint_is_the_sha256_of_the_first_certificate() -> None:
    pem = "remark\n" + ssl.DER_cert_to_PEM_cert(DER) + ssl.DER_cert_to_PEM_cert(b"other")
    shown = fingerprint(pem)
    assert len(shown.split(":")) == 32
    assert shown.replace(":", "").lower() == hashlib.sha256(DER).hexdigest()


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_a_text_without_a_certificate_has_no_fingerprint(pem: str) -> None:
    with pytest.raises(ValueError, match="PEM"):
        fingerprint(pem)
