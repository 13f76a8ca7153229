"""One server from start to stop: data directory, certificate, store, services, listener.

What happens to a request is the application's matter (`app`).
"""

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn

from runwatch_server.access.origins import host_name
from runwatch_server.access.passwords import Passwords
from runwatch_server.access.sessions import Signer, load_key
from runwatch_server.addresses import WILDCARDS, access_mode, base_url, database_url
from runwatch_server.app import build_app
from runwatch_server.certificates import TlsFiles, ensure_certificates
from runwatch_server.first_start import ensure_admin, ensure_tokens
from runwatch_server.handshakes import Handshakes, Pair
from runwatch_server.http_protocol import Guard, GuardedProtocol, guarded_protocol
from runwatch_server.lifespan import begin_stop, open_services, rules_of
from runwatch_server.metrics import Metrics
from runwatch_server.pace import Pace
from runwatch_server.reloading import Reloading, obey_hang_up
from runwatch_server.services import Services
from runwatch_server.steady import keep_going
from runwatch_server.storage.observing import QueryObserver
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store
from runwatch_server.tracing.opening import tracing_of
from runwatch_server.version import VERSION
from runwatch_server.websocket_protocol import websocket_options
from runwatch_shared.clock import Clock
from runwatch_shared.errors import SettingsError
from runwatch_shared.log_signals import obey_log_signals
from runwatch_shared.logs import log
from runwatch_shared.notify import Notifier
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tasks import TaskOwner

logger: Final = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 75
BACKLOG: Final = 2048
MOST_PORT: Final = 65_535
HANDSHAKE_S: Final = 10.0
CLOSE_S: Final = 1.0
"""How long a peer may take to see that its connection, on which nothing is answered, closes."""


async def serve(
    settings: ServerSettings,
    clock: Clock,
    *,
    reread: Callable[[], ServerSettings] | None = None,
    notifier: Notifier | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends it at once. SIGHUP reads settings and
    certificates anew, unless it says that the terminal of this process is gone.

    Args:
        reread: Gives the settings as they are now; None: those of the start.
        notifier: The service manager that is told.

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
    tracing = tracing_of(settings)
    observer = metrics.store if tracing is None else tracing.store(metrics.store)
    passwords = Passwords()
    async with AsyncExitStack() as stack:
        if tracing is not None:
            await stack.enter_async_context(tracing.opened())
        listener = stack.enter_context(listen(settings.host, settings.port))
        store = stack.enter_context(closing(_opened(settings, observer)))
        ensure_tokens(store, clock, data_dir)
        ensure_admin(
            store,
            clock,
            email=settings.admin_email,
            password=settings.admin_password,
            hashed=passwords.hash_now,
        )
        pace = Pace(store, clock, data_dir)
        async with open_services(
            settings,
            store,
            clock=await pace.begin(),
            wall=clock,
            mode=mode,
            signer=signer,
            metrics=metrics,
            passwords=passwords,
            ca_pem=certificates.ca_pem if certificates and not settings.tls_cert else None,
            tls=settings.tls,
            audit_folder=data_dir,
            tracing=tracing,
        ) as services:
            notifier = notifier or Notifier()
            server = Server(_config(settings, services, certificates), services, notifier)
            pair = partial(pair_of, data_dir=data_dir, clock=clock)
            handshakes = _handshakes(services, pair, metrics)
            if handshakes is not None:
                handshakes.take(handshakes.read())
            server.handshakes = handshakes
            read = reread or (lambda: settings)
            reloading = Reloading(read, services.live, handshakes, notifier, pair)
            async with TaskOwner("serving") as owner:
                pace.start(owner)
                if handshakes is not None:
                    looking = keep_going(handshakes.look, name="certificates")
                    owner.spawn(looking, name="certificates")
                owner.spawn(reloading.run(), name="reloading")
                obey_hang_up(reloading.ask, lambda: server.handle_exit(signal.SIGTERM, None))
                obey_log_signals(asyncio.get_running_loop(), level=settings.log_level, tag="server")
                notifier.start(owner)
                url = base_url(settings, listener)
                await server.serve_announced(listener, url, _announcements(settings, data_dir))
    log(logger, logging.INFO, "server", "The server has stopped", event="stop")


def _opened(settings: ServerSettings, observer: QueryObserver) -> Store:
    store = open_store(
        database_url(settings),
        rules=rules_of(settings),
        synchronous=settings.synchronous,
        search=settings.search,
        observer=observer,
    )
    log(logger, logging.INFO, "store", "The store is open", event="open", database=store.store_id)
    return store


class Server(uvicorn.Server):
    """uvicorn's server that says when it is ready and drains before it closes its listener."""

    def __init__(
        self, config: uvicorn.Config, services: Services, notifier: Notifier | None = None
    ) -> None:
        super().__init__(config)
        self._services = services
        self._notifier = notifier or Notifier()
        self.handshakes: Handshakes | None = None
        """What those of its listener are answered with; None: always the certificate of now."""
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
            if self.handshakes is not None:
                self.handshakes.attach(tls)
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
        self._notifier.ready(f"serving {self._url}")

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
        settings = self._services.settings
        self._notifier.stopping(f"draining for {settings.drain_s:g} s")
        self.config.timeout_graceful_shutdown = _grace_s(settings)
        self._draining = self._loop.call_later(settings.drain_s, self._end)

    def _end(self) -> None:
        self.should_exit = True


def _nothing() -> None:
    """Marks that draining was asked for before the loop came to it."""


def made_data_dir(settings: ServerSettings) -> Path:
    """The data directory, made for this user alone where it is not there."""
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data_dir


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


def pair_of(settings: ServerSettings, *, data_dir: Path, clock: Clock) -> Pair:
    """The files to serve with; the own certificate is renewed where that is due.

    Raises:
        SettingsError: As `certificates_of`.
    """
    files = certificates_of(settings, data_dir, clock)
    if files is None:
        return Pair(cert=Path(settings.tls_cert), key=Path(settings.tls_key))
    return Pair(cert=files.cert_pem, key=files.key_pem)


def _handshakes(
    services: Services, pair: Callable[[ServerSettings], Pair], metrics: Metrics
) -> Handshakes | None:
    """What handshakes are answered with; None without TLS."""
    if not services.tls:
        return None
    return Handshakes(lambda: pair(services.settings), metrics.runtime.certificate_ends)


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
    guard = Guard(limits, services.metrics.requests)
    services.live.follow(guard.follow)
    return uvicorn.Config(
        build_app(services),
        http=guarded_protocol(guard),  # type: ignore[arg-type]  # makes one
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=_grace_s(settings),
        **websocket_options(limits),
        **tls,
    )


def _grace_s(settings: ServerSettings) -> int:
    """How long answers that are under way have, behind the draining."""
    return max(1, round(settings.stop_s - settings.drain_s))
