"""``monitor-server alive``: asks the server of this machine whether it works, as health checks do.

Its address is the one it left in the data directory; its certificate is verified, own or made.
"""

import http.client
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from runwatch_server.addresses import is_loopback
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tls import client_context

LIMIT_S: Final = 5.0


class _Named(http.client.HTTPSConnection):
    """A connection to an address that is asked to prove a name."""

    def __init__(self, host: str, port: int, *, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=LIMIT_S, context=context)
        self._name = name
        self._trusted = context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self._name)


def ask(settings: ServerSettings, path: str) -> int:
    """The status of a GET.

    Raises:
        OSError: Nobody answers there, or it is not this server.
    """
    address = Path(settings.data_dir) / "server.url"
    if not address.exists():
        raise OSError(f"no server runs with {settings.data_dir}")
    parts = urlsplit(address.read_text(encoding="utf-8").strip())
    host, port = parts.hostname or "", parts.port or 443
    connection = _connection(settings, parts.scheme, host, port)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{port}"})
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(f"no answer that is HTTP: {error!r}") from error
    finally:
        connection.close()


def _connection(
    settings: ServerSettings, scheme: str, host: str, port: int
) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    if not settings.tls_cert:
        context = client_context(Path(settings.data_dir) / "tls" / "ca.pem")
        return _Named(host, port, name=host, context=context)
    # Of an own certificate the very file is trusted, whoever signed it.
    context = client_context(Path(settings.tls_cert))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return _Named(host, port, name=_name_in(Path(settings.tls_cert), host), context=context)


def _name_in(cert: Path, host: str) -> str:
    """A name that the certificate proves; the address itself where it has none."""
    try:
        leaf = x509.load_pem_x509_certificate(cert.read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise OSError(f"{cert} has no name: {error}") from error
    found = [*names.get_values_for_type(x509.DNSName)]
    found += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    if not found or (host in found and is_loopback(host)):
        return host
    return found[0].replace("*", "runwatch", 1)
