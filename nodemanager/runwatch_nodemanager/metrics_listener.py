"""The listener of a node's ``/metrics``, by HTTP or HTTPS, in threads of its own: whatever its
readers do, runs go on and other readers are answered. What is told is in `metrics`.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from socketserver import TCPServer
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import NodeSettings

READER_S: Final = 10.0
"""How long a reader may take to shake hands, or to send or take anything."""


def tls_of(settings: NodeSettings) -> ssl.SSLContext | None:
    """What metrics are served with; None for plain HTTP.

    Raises:
        SettingsError: Only one of certificate and key is set, or a file cannot be used.
    """
    cert, key, ca = (
        settings.metrics_tls_cert,
        settings.metrics_tls_key,
        settings.metrics_client_ca,
    )
    if bool(cert) != bool(key):
        raise SettingsError("metrics_tls_cert and metrics_tls_key go together")
    if not cert:
        if ca:
            raise SettingsError("metrics_client_ca needs metrics_tls_cert and metrics_tls_key")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:  # an SSLError is one
        raise SettingsError(
            f"metrics_tls_cert {cert} and metrics_tls_key cannot be used: {error}"
        ) from error
    if ca:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise SettingsError(f"metrics_client_ca {ca} cannot be used: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextlib.contextmanager
def served(
    registry: CollectorRegistry, host: str, port: int, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve ``/metrics`` while the block runs; gives the port.

    Raises:
        OSError: The address is taken or not this machine's.
    """
    name = host.strip("[]")

    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in name else socket.AF_INET
        context = tls

    server = make_server(name, port, make_wsgi_app(registry), Server, handler_class=_Handler)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class _Handler(WSGIRequestHandler):
    timeout = READER_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """A scrape is no news."""

    def address_string(self) -> str:
        """No name server is asked."""
        return str(self.client_address[0])


class _Server(ThreadingWSGIServer):
    """A thread a reader. The handshake is shaken there too: a silent peer holds up nobody."""

    context: ssl.SSLContext | None = None

    def server_bind(self) -> None:
        """As `HTTPServer`, which would ask a name server for the host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(READER_S)
        if self.context is not None:
            connection = self.context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that speaks no TLS, shows no certificate or goes away is its own matter."""
