"""A server of a vendor's logins on loopback: for the stand-in programs, and for the real ones.

Real programs are sent here by Codex's own option for another issuer, and else as by a company's
proxy: CONNECT, with certificates of an authority of its own.
"""

import base64
import contextlib
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = tuple[int, dict[str, Any]]
Decision = Literal["pending", "approved", "denied", "expired"]
DAY_MS = 86_400_000


def secret(kind: str) -> str:
    """Of the form the vendor's have, with a mark to search for."""
    return f"{kind}canary{secrets.token_hex(30)}"


class Vendor:
    """See the module. A person's part is ``approve``, ``deny`` and ``code``.

    Args:
        folder: For certificates; ``ca.pem`` is what programs must trust.
    """

    def __init__(self, folder: Path) -> None:
        self.code = "GOOD-CODE"
        """What the page gives to somebody who has logged in there."""
        self.decision: Decision = "pending"
        """What was made of the code that was shown, where a device is logged in."""
        self.asked: list[str] = []
        """Method, host and path of every request."""
        self.keys: list[str] = []
        """Credentials that came with requests."""
        self.given: list[str] = []
        """Every secret that was handed out."""
        self.user_code = f"{secrets.token_hex(2)}-{secrets.token_hex(2)}1".upper()
        self._authority = Authority(folder)
        vendor = self

        class Bound(Handler):
            owner = vendor

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ca(self) -> Path:
        return self._authority.path

    def variables(self) -> dict[str, str]:
        """What makes the real programs come here."""
        return {
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NODE_EXTRA_CA_CERTS": str(self.ca),
        }

    def approve(self) -> None:
        self.decision = "approved"

    def deny(self) -> None:
        self.decision = "denied"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def wrap(self, connection: socket.socket, host: str) -> ssl.SSLSocket:
        """Speak as this host."""
        return self._authority.context(host).wrap_socket(connection, server_side=True)

    def answer(self, path: str, body: bytes) -> Answer:
        """To a request of whatever host."""
        for end, answer in self._answers().items():
            if path.endswith(end):
                return answer(body)
        return 200, {}

    def _answers(self) -> dict[str, Callable[[bytes], Answer]]:
        return {
            "/stand-in/start": self._start,
            "/stand-in/poll": lambda body: (200, {"state": self.decision}),
            "/stand-in/exchange": self._exchange,
            "/deviceauth/usercode": self._device_code,
            "/deviceauth/token": self._device_token,
            "/v1/oauth/token": self._claude_token,
            "/oauth/token": lambda body: (200, self._codex_tokens()),
            "/token": self._google_token,
            "/api/oauth/profile": lambda body: (200, CLAUDE_PROFILE),
            "/api/oauth/claude_cli/roles": lambda body: (200, {"organization_role": "admin"}),
            "/tokeninfo": lambda body: (200, {"expires_in": 3000, "email": "a@example.org"}),
            "/userinfo": lambda body: (200, {"email": "a@example.org"}),
            ":loadCodeAssist": lambda body: (200, GOOGLE_PROJECT),
        }

    def _start(self, body: bytes) -> Answer:
        page = f"{self.url}/authorize?state={secrets.token_hex(24)}"
        return 200, {"page": page, "device": f"{self.url}/device", "user_code": self.user_code}

    def _exchange(self, body: bytes) -> Answer:
        code = json.loads(body).get("code", "").partition("#")[0]
        if code != self.code and self.decision != "approved":
            return 400, {"error": "invalid_grant"}
        return 200, {"access": self._new("sk-ant-oat01-"), "refresh": self._new("sk-ant-ort01-")}

    def _device_code(self, body: bytes) -> Answer:
        return 200, {"device_auth_id": "dev-1", "user_code": self.user_code, "interval": "1"}

    def _device_token(self, body: bytes) -> Answer:
        match self.decision:
            case "approved":
                return 200, {"authorization_code": "a", "code_challenge": "c", "code_verifier": "v"}
            case "pending":
                return 403, {"error": {"code": "deviceauth_authorization_unknown"}}
            case _:
                return 400, {"error": {"code": "access_denied"}}

    def _codex_tokens(self) -> dict[str, Any]:
        now = int(time.time())
        plan = {"chatgpt_plan_type": "plus", "chatgpt_account_id": "acct"}
        claims = {"https://api.openai.com/auth": plan}
        identity = jwt(email="a@example.org", exp=now + 3600, **claims)
        return {
            "id_token": identity,
            "access_token": jwt(exp=now + 864_000),
            "refresh_token": self._new("rt_"),
        }

    def _claude_token(self, body: bytes) -> Answer:
        if json.loads(body).get("code") != self.code:
            return 400, {"error": "invalid_grant", "error_description": "Invalid 'code'."}
        return 200, {
            "token_type": "Bearer",
            "access_token": self._new("sk-ant-oat01-"),
            "refresh_token": self._new("sk-ant-ort01-"),
            "expires_in": 28_800,
            "scope": "user:inference user:profile",
            "organization": {"uuid": "org-1", "name": "Org"},
            "account": {"uuid": "acc-1", "email_address": "a@example.org"},
        }

    def _google_token(self, body: bytes) -> Answer:
        asked = parse_qs(body.decode())
        if asked.get("code", [""])[0] != self.code and "refresh_token" not in asked:
            return 400, {"error": "invalid_grant", "error_description": "Malformed auth code."}
        return 200, {
            "access_token": self._new("ya29."),
            "refresh_token": self._new("1//0"),
            "expires_in": 3599,
            "token_type": "Bearer",
            "scope": "x",
        }

    def _new(self, kind: str) -> str:
        made = secret(kind)
        self.given.append(made)
        return made


class Handler(BaseHTTPRequestHandler):
    """One connection; ``host`` is whom the program takes it for."""

    protocol_version = "HTTP/1.1"
    owner: Vendor
    host = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nothing."""

    def do_CONNECT(self) -> None:
        host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        inner = type("Inner", (type(self),), {"host": host})
        # Programs end in the middle of what they send.
        with contextlib.suppress(OSError), self.owner.wrap(self.connection, host) as spoken:
            inner(spoken, self.client_address, self.server)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        self.owner.asked.append(f"{self.command} {self.host}{path}")
        for name in ("Authorization", "X-Api-Key", "X-Goog-Api-Key"):
            if value := self.headers.get(name):
                self.owner.keys.append(value)
        status, answer = self.owner.answer(path, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815 - its name there


class Authority:
    """Certificates for any host."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "ca.pem"
        self._folder = folder
        self._certificate, self._key = _certificate("stand-in vendor", None)
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, host: str) -> ssl.SSLContext:
        with self._lock:
            if host not in self._contexts:
                issuer = (self._certificate, self._key)
                certificate, key = _certificate(host, issuer)
                path = self._folder / f"{host}.pem"
                path.write_bytes(
                    key.private_bytes(
                        serialization.Encoding.PEM,
                        serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption(),
                    )
                    + certificate.public_bytes(serialization.Encoding.PEM)
                )
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(path)
                self._contexts[host] = context
            return self._contexts[host]


def _certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def jwt(**claims: Any) -> str:
    """One that nobody signed."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return ".".join((part({"alg": "none"}), part(claims), part({"sig": secrets.token_hex(8)})))


CLAUDE_PROFILE = {
    "account": {
        "uuid": "acc-1",
        "full_name": "A",
        "display_name": "A",
        "email": "a@example.org",
        "has_claude_max": True,
        "has_claude_pro": False,
        "created_at": "2025-01-01T00:00:00Z",
    },
    "organization": {
        "uuid": "org-1",
        "name": "Org",
        "organization_type": "claude_max",
        "rate_limit_tier": "default_claude_max_20x",
    },
}
GOOGLE_PROJECT = {
    "currentTier": {"id": "standard-tier", "name": "Standard"},
    "cloudaicompanionProject": "proj",
    "allowedTiers": [{"id": "standard-tier", "isDefault": True}],
}
