"""One server from start to stop: data directory, certificate, store, services, listener.

What happens to a request is the application's matter (`app`).
"""

import asyncio
import ipaddress
import logging
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn

from runwatch_server.access.origins import host_name
from runwatch_server.access.passwords import Passwords
from runwatch_server.access.sessions import Signer, load_key
from runwatch_server.admission import Mode
from runwatch_server.app import build_app
from runwatch_server.certificates import TlsFiles, ensure_certificates
from runwatch_server.first_start import ensure_admin, ensure_tokens
from runwatch_server.http_protocol import Guard, GuardedProtocol, guarded_protocol
from runwatch_server.lifespan import begin_stop, open_services, rules_of
from runwatch_server.metrics import Metrics
from runwatch_server.services import Services
from runwatch_server.steady import keep_going
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store
from runwatch_server.version import VERSION
from runwatch_server.websocket_protocol import websocket_options
from runwatch_shared.clock import Clock
from runwatch_shared.errors import SettingsError
from runwatch_shared.logs import log
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.tls import fingerprint

logger: Final = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 75
BACKLOG: Final = 2048
MOST_PORT: Final = 65_535
HANDSHAKE_S: Final = 10.0
CLOSE_S: Final = 1.0
"""How long a peer may take to see that its connection, on which nothing is answered, closes."""
RENEW_EVERY_S: Final = 6 * 3600.0
WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})


async def serve(settings: ServerSettings, clock: Clock) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends it at once.

    Raises:
        SettingsError: A setting cannot be used.
        StoreError: The database cannot be opened.
        OSError: The data directory or the address cannot be used.
    """
    mode = access_mode(settings)
    data_dir = made_data_dir(settings)
    certificates = certificates_of(settings, data_dir, clock)
    signer = Signer(load_key(data_dir, settings.jwt_secret))
    metrics = Metrics()
    passwords = Passwords()
    with (
        listen(settings.host, settings.port) as listener,
        closing(_opened(settings, metrics)) as store,
    ):
        ensure_tokens(store, clock, data_dir)
        ensure_admin(
            store,
            clock,
            email=settings.admin_email,
            password=settings.admin_password,
            hashed=passwords.hash_now,
        )
        if certificates is not None:
            _tell_certificate(certificates, metrics)
        async with open_services(
            settings,
            store,
            clock=clock,
            mode=mode,
            signer=signer,
            metrics=metrics,
            passwords=passwords,
            ca_pem=certificates.ca_pem if certificates and not settings.tls_cert else None,
            tls=settings.tls,
            audit_folder=data_dir,
        ) as services:
            server = Server(_config(settings, services, certificates), services)
            async with TaskOwner("certificates") as owner:
                if certificates is not None:
                    step = _renewal(settings, data_dir, clock, server, metrics)
                    owner.spawn(keep_going(step, name="certificates"), name="certificates")
                url = base_url(settings, listener)
                await server.serve_announced(listener, url, _announcements(settings, data_dir))
    log(logger, logging.INFO, "server", "The server has stopped", event="stop")


def _opened(settings: ServerSettings, metrics: Metrics) -> Store:
    store = open_store(
        database_url(settings),
        rules=rules_of(settings),
        synchronous=settings.synchronous,
        search=settings.search,
        observer=metrics.store,
    )
    log(logger, logging.INFO, "store", "The store is open", event="open", database=store.store_id)
    return store


class Server(uvicorn.Server):
    """uvicorn's server that says when it is ready and drains before it closes its listener."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.TimerHandle | None = None
        self._url = ""
        self._files: Sequence[Path] = ()

    async def serve_announced(
        self, listener: socket.socket, url: str, files: Sequence[Path]
    ) -> None:
        """Serve on an open socket; the address is written to ``files`` when it is ready."""
        self._url = url
        self._files = files
        try:
            await self.serve(sockets=[listener])
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell whoever waits for it. A TLS handshake has its time too, which
        uvicorn does not pass on.
        """
        tls = self.config.ssl
        if tls is not None:
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.servers = [
            await self._loop.create_server(
                self._connection,
                sock=each,
                ssl=tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
                ssl_shutdown_timeout=None if tls is None else CLOSE_S,
            )
            for each in sockets or []
        ]
        self.started = True
        for file in self._files:
            fresh = file.with_name(f".{file.name}.new")
            fresh.write_text(f"{self._url}\n", encoding="utf-8")
            fresh.replace(file)
        log(
            logger,
            logging.INFO,
            "server",
            "The server is ready",
            event="start",
            listen=self._url,
            version=VERSION,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the sockets with 1001 first: uvicorn would give another reason.

        Peers that do not read or never ended their handshake are not waited for, which uvicorn
        would; an answer that is under way has its time (``stop_s``).
        """
        self._services.hub.stop()
        servers, self.servers = self.servers, []
        for server in servers:
            server.close()
        cut = self._loop.call_later(CLOSE_S, self._cut_off, True)
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()
            self._cut_off(False)

    def _cut_off(self, only_idle: bool) -> None:
        for connection in list(self.server_state.connections):
            answering = isinstance(connection, GuardedProtocol) and not connection.is_idle()
            if not (only_idle and answering):
                connection.transport.abort()

    def _connection(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state={})

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the next one ends at once."""
        if self._draining is not None:
            self.force_exit = sig == signal.SIGINT
            self.should_exit = True
            return
        self._draining = self._loop.call_later(0, _nothing)
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        log(logger, logging.INFO, "server", "The server is stopping", event="drain")
        begin_stop(self._services)
        self._draining = self._loop.call_later(self._services.settings.drain_s, self._end)

    def _end(self) -> None:
        self.should_exit = True


def _nothing() -> None:
    """Marks that draining was asked for before the loop came to it."""


def access_mode(settings: ServerSettings) -> Mode:
    """``local`` only where every listener is loopback (contract 2.2).

    Raises:
        SettingsError: ``auth`` is ``local`` beyond loopback.
    """
    loopback = is_loopback(settings.host)
    if settings.auth == "local" and not loopback:
        raise SettingsError(
            f"auth: local needs a loopback address, and host is {settings.host}; use --auth on"
        )
    if settings.auth:
        return settings.auth
    return "local" if loopback else "on"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address of this name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def made_data_dir(settings: ServerSettings) -> Path:
    """The data directory, made for this user alone where it is not there."""
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data_dir


def database_url(settings: ServerSettings) -> str:
    """The URL that was set, else SQLite in the data directory."""
    return settings.database or f"sqlite:///{Path(settings.data_dir) / 'runwatch.db'}"


def certificates_of(settings: ServerSettings, data_dir: Path, clock: Clock) -> TlsFiles | None:
    """What TLS is served with; None without TLS or with certificates of the operator's own.

    Raises:
        SettingsError: Only one of ``tls_cert`` and ``tls_key`` is set, or the files are damaged.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingsError("tls_cert and tls_key go together")
    if not settings.tls or settings.tls_cert:
        return None
    hosts = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    if settings.host not in WILDCARDS:
        hosts.append(settings.host)
    hosts = list(dict.fromkeys([*hosts, *(host_name(host) for host in settings.allowed_hosts)]))
    try:
        files = ensure_certificates(data_dir / "tls", hosts, clock)
    except ValueError as error:
        raise SettingsError(f"tls: {data_dir / 'tls'} cannot be used: {error}") from error
    if files.renewed:
        log(logger, logging.INFO, "tls", "A certificate was made", event="made")
    return files


def _tell_certificate(files: TlsFiles, metrics: Metrics) -> None:
    """What a person compares with the fingerprint a client shows."""
    metrics.runtime.certificate_ends(files.not_after.timestamp())
    log(
        logger,
        logging.INFO,
        "tls",
        "A certificate is served",
        event="served",
        fingerprint=fingerprint(files.cert_pem.read_text()),
        path=str(files.cert_pem),
    )


def _renewal(
    settings: ServerSettings, data_dir: Path, clock: Clock, server: Server, metrics: Metrics
) -> Callable[[], Awaitable[None]]:
    """A step that renews the own certificate in time; new handshakes get it without a restart."""

    async def step() -> None:
        await asyncio.sleep(RENEW_EVERY_S)
        files = await asyncio.to_thread(certificates_of, settings, data_dir, clock)
        if files is not None and files.renewed and server.config.ssl is not None:
            server.config.ssl.load_cert_chain(files.cert_pem, files.key_pem)
            _tell_certificate(files, metrics)

    return step


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        SettingsError: There is no such port.
        OSError: The address cannot be used.
    """
    if not 0 <= port <= MOST_PORT:
        raise SettingsError(f"port must be 0 to {MOST_PORT}, not {port}")
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listener = socket.create_server((name, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def base_url(settings: ServerSettings, listener: socket.socket) -> str:
    """How clients on this machine reach the listener."""
    port = listener.getsockname()[1]
    host = "127.0.0.1" if settings.host in WILDCARDS else settings.host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{shown}:{port}"


def _announcements(settings: ServerSettings, data_dir: Path) -> list[Path]:
    files = [data_dir / "server.url"]
    if settings.ready_file:
        files.append(Path(settings.ready_file).absolute())
    return files


def _config(
    settings: ServerSettings, services: Services, certificates: TlsFiles | None
) -> uvicorn.Config:
    limits = settings.limits
    tls: dict[str, Any] = {}
    if settings.tls_cert:
        tls = {"ssl_certfile": settings.tls_cert, "ssl_keyfile": settings.tls_key}
    elif certificates is not None:
        tls = {
            "ssl_certfile": str(certificates.cert_pem),
            "ssl_keyfile": str(certificates.key_pem),
        }
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        build_app(services),
        http=guarded_protocol(Guard(limits, services.metrics.requests)),  # type: ignore[arg-type]  # makes one
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.stop_s - settings.drain_s)),
        **websocket_options(limits),
        **tls,
    )
