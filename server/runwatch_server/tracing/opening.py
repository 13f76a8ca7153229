"""Whether the server is traced, and the one place that loads what is needed for it."""

from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from runwatch_server.scheduler import SchedulerObserver
from runwatch_server.storage.observing import StoreObserver
from runwatch_server.storage.protocols import Reader, Writer
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings

NO_TRACER = "trace_endpoint: needs the extra 'tracing' (pip install 'runwatch[server,tracing]')"


class Tracing(Protocol):
    """Takes the place of parts of the server, each of which it then passes everything on to."""

    def application(self, app: ASGIApp) -> ASGIApp:
        """A span for each request."""
        ...

    def writer(self, writer: Writer) -> Writer:
        """A span for each wait for a commit, below its request."""
        ...

    def reader(self, reader: Reader) -> Reader:
        """Statements that a request runs are below it."""
        ...

    def store(self, observer: StoreObserver) -> StoreObserver:
        """A span for each group commit and each statement."""
        ...

    def scheduler(self, observer: SchedulerObserver) -> SchedulerObserver:
        """A span for each pass of the scheduler."""
        ...

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Send what is told until the block ends, and a little longer what is left."""
        ...


def tracing_of(settings: ServerSettings) -> Tracing | None:
    """None where ``trace_endpoint`` is not set: then nothing of this is loaded, nor in any path.

    Raises:
        SettingsError: The endpoint is no URL, or what tracing needs is not installed.
    """
    endpoint = settings.trace_endpoint
    if not endpoint:
        return None
    check_endpoint(settings)
    try:
        # Only who is traced needs it: it takes a tenth of a second to load.
        from runwatch_server.tracing.spans import Spans
    except ImportError as error:
        raise SettingsError(NO_TRACER) from error
    return Spans(endpoint, settings.trace_share)


def check_endpoint(settings: ServerSettings) -> None:
    """Raises SettingsError where spans could not be sent: the URL is none, or parts are missing."""
    if not settings.trace_endpoint:
        return
    try:
        parts = urlsplit(settings.trace_endpoint)
        reachable = parts.hostname and parts.port != 0 and "@" not in parts.netloc
        usable = parts.scheme in {"http", "https"} and reachable
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("trace_endpoint: expected a URL like http://127.0.0.1:4318/v1/traces")
    if find_spec("opentelemetry.sdk") is None:
        raise SettingsError(NO_TRACER)
