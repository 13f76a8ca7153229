"""A real receiver of alerts on a free port: answers as it is told, and keeps what came."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
HANG = -1
"""In the place of a status: say nothing until the receiver closes."""


class Came(NamedTuple):
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def alert(self) -> dict[str, Any]:
        alert: dict[str, Any] = json.loads(self.body)
        return alert

    def is_signed_with(self, secret: str) -> bool:
        """Computed here anew, by the words of the standard."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        head = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}."
        wanted = hmac.new(key, head.encode() + self.body, hashlib.sha256).digest()
        given = self.headers["webhook-signature"].split(" ")
        return f"v1,{base64.b64encode(wanted).decode()}" in given


Reply = Callable[[Came], tuple[int, dict[str, str]]]


class Receiver:
    """An HTTP or HTTPS server in a thread."""

    def __init__(
        self, reply: Reply | None = None, *, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.came: list[Came] = []
        self.reply: Reply = reply or (lambda came: (204, {}))
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                came = Came(headers, body)
                receiver.came.append(came)
                status, extra = receiver.reply(came)
                if status == HANG:
                    receiver._closing.wait(30)
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                if "content-length" not in extra:
                    self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook/very-secret"

    @property
    def types(self) -> list[str]:
        return [came.alert["type"] for came in self.came]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
