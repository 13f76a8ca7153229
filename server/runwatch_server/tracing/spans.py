"""Spans of requests, commits, statements and passes of the scheduler, by OpenTelemetry.

Their attributes are names of routes, tables and operations, and numbers: never an address with its
query, a header, an id of a person, or anything that is stored.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from opentelemetry import context as contexts
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runwatch_server.api.resource import TEMPLATE
from runwatch_server.scheduler import SchedulerObserver
from runwatch_server.storage.observing import Operation, StoreObserver
from runwatch_server.storage.protocols import Reader, ReadTx, Writer, WriteTx
from runwatch_server.version import VERSION
from runwatch_shared.logs import TRACE_ID

T = TypeVar("T")

QUEUE_SPANS: Final = 4096
"""What waits to be sent at most; beyond that spans are dropped."""
EVERY_MS: Final = 2000
EXPORT_S: Final = 5.0
LEAVE_MS: Final = 3000
"""How long stopping may take to send the rest."""
MOST_LINKS: Final = 64
MOST_STATEMENTS: Final = 500
UNTRACED: Final = frozenset({"/livez", "/readyz", "/health", "/metrics"})
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Spans:
    """`opening.Tracing`.

    Args:
        endpoint: Where spans are posted to, whole: ``http://collector:4318/v1/traces``. Headers and
            authority are those of ``OTEL_EXPORTER_OTLP_HEADERS`` and ``…_CERTIFICATE``.
        share: Of the traces that begin here, how many are kept; others go by their ``traceparent``.
    """

    def __init__(self, endpoint: str, share: float) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create(
                {"service.name": "runwatch-server", "service.version": VERSION}
            ),
            span_limits=SpanLimits(max_links=MOST_LINKS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_S),
                max_queue_size=QUEUE_SPANS,
                schedule_delay_millis=EVERY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("runwatch_server", VERSION)
        self._group = _Group()

    def application(self, app: ASGIApp) -> ASGIApp:
        """See `opening.Tracing`."""
        return _TracedApp(app, self._tracer)

    def writer(self, writer: Writer) -> Writer:
        """See `opening.Tracing`."""
        return _TracedWriter(writer, self._tracer, self._group)

    def reader(self, reader: Reader) -> Reader:
        """See `opening.Tracing`."""
        return _TracedReader(reader)

    def store(self, observer: StoreObserver) -> StoreObserver:
        """See `opening.Tracing`."""
        return _TracedStore(observer, self._tracer, self._group)

    def scheduler(self, observer: SchedulerObserver) -> SchedulerObserver:
        """See `opening.Tracing`."""
        return _TracedScheduler(observer, self._tracer)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """See `opening.Tracing`."""
        try:
            yield
        finally:
            await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        self._provider.force_flush(LEAVE_MS)
        # Its own end would wait for a collector that is away; the thread is a daemon.
        threading.Thread(target=self._provider.shutdown, name="tracing-end", daemon=True).start()


class _Group:
    """What one group commit is about; of the writer's thread alone."""

    def __init__(self) -> None:
        self.waiting: list[Span] = []
        self.statements: list[tuple[Operation, str, int, int]] = []
        self.thread: int | None = None

    def joined_by(self, span: Span) -> None:
        """A request takes part; in the writer's thread, which is known by it."""
        self.thread = threading.get_ident()
        self.waiting.append(span)

    def ran(self, operation: Operation, table: str, began_ns: int, ended_ns: int) -> None:
        """A statement of the writer was run."""
        if len(self.statements) < MOST_STATEMENTS:
            self.statements.append((operation, table, began_ns, ended_ns))

    def take(self) -> tuple[list[Span], list[tuple[Operation, str, int, int]]]:
        """Both, and begin anew."""
        taken = (self.waiting, self.statements)
        self.waiting, self.statements = [], []
        return taken


class _TracedApp:
    """A span a request, around everything; the work below it runs in its context."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in UNTRACED:
            return await self._app(scope, receive, send)
        socket = scope["type"] == "websocket"
        method = "GET" if socket else scope["method"]
        method = method if method in METHODS else "OTHER"
        span = self._tracer.start_span(
            method,
            context=self._propagator.extract(_carrier(scope)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
        )
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                status = message["status"]
                _name_request(span, message)
            elif message["type"] == "websocket.accept":
                # A socket may live for days: what is told is how it was opened.
                _name_request(span, message)
                _end_request(span, method, scope, 101)
            await send(message)

        attached = contexts.attach(set_span_in_context(span))
        told = TRACE_ID.set(f"{span.get_span_context().trace_id:032x}")
        try:
            await self._app(scope, receive, sending)
        finally:
            TRACE_ID.reset(told)
            contexts.detach(attached)
            _end_request(span, method, scope, status or 499)
        return None


def _carrier(scope: Scope) -> dict[str, str]:
    wanted = (b"traceparent", b"tracestate")
    return {
        name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted
    }


def _name_request(span: Span, message: Message) -> None:
    for name, value in message.get("headers", ()):
        if name == b"x-request-id":
            span.set_attribute("runwatch.request_id", value.decode("latin-1"))


def _end_request(span: Span, method: str, scope: Scope, status: int) -> None:
    if not span.is_recording():
        return
    route = scope.get(TEMPLATE)
    if route is not None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


class _TracedWriter:
    """The time a request waits for its commit, and that its work is in it."""

    def __init__(self, writer: Writer, tracer: Tracer, group: _Group) -> None:
        self._writer = writer
        self._tracer = tracer
        self._group = group

    async def write(
        self, work: Callable[[WriteTx], T], *, events: int = 0, urgent: bool = False
    ) -> T:
        """See `protocols.Writer.write`."""
        if not get_current_span().is_recording():
            return await self._writer.write(work, events=events, urgent=urgent)
        with self._tracer.start_as_current_span(
            "store.write", record_exception=False, attributes={"runwatch.events": events}
        ) as span:

            def noted(tx: WriteTx) -> T:
                self._group.joined_by(span)
                return work(tx)

            return await self._writer.write(noted, events=events, urgent=urgent)


class _TracedReader:
    """Carries a request's context into the reader's thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        """See `protocols.Reader.read`."""
        if not get_current_span().is_recording():
            return await self._reader.read(work)
        context = contexts.get_current()

        def carried(tx: ReadTx) -> T:
            attached = contexts.attach(context)
            try:
                return work(tx)
            finally:
                contexts.detach(attached)

        return await self._reader.read(carried)


class _TracedStore:
    """Commits with the statements in them, below the first request that takes part; the others are
    linked. Statements of readers are below their request.
    """

    def __init__(self, observer: StoreObserver, tracer: Tracer, group: _Group) -> None:
        self._observer = observer
        self._tracer = tracer
        self._group = group

    def waiting(self, events: int) -> None:
        """See `storage.observing.WriteObserver`."""
        self._observer.waiting(events)

    def failed(self, kind: str) -> None:
        """See `storage.observing.WriteObserver`."""
        self._observer.failed(kind)
        if threading.get_ident() == self._group.thread:
            self._group.take()

    def committed(self, works: int, events: int, seconds: float) -> None:
        """See `storage.observing.WriteObserver`."""
        self._observer.committed(works, events, seconds)
        self._group.thread = threading.get_ident()
        waiting, statements = self._group.take()
        end_ns = time.time_ns()
        begin_ns = end_ns - round(seconds * 1e9)
        span = self._tracer.start_span(
            "store.commit",
            context=set_span_in_context(waiting[0]) if waiting else None,
            links=[Link(each.get_span_context()) for each in waiting[1:MOST_LINKS]],
            attributes={"runwatch.works": works, "runwatch.events": events},
            start_time=begin_ns,
        )
        if span.is_recording():
            below = set_span_in_context(span)
            for operation, table, began_ns, ended_ns in statements:
                if began_ns >= begin_ns:  # else of what was done between groups
                    self._statement(below, operation, table, began_ns, ended_ns)
        span.end(end_ns)

    def queried(self, operation: Operation, table: str, seconds: float) -> None:
        """See `storage.observing.QueryObserver`."""
        self._observer.queried(operation, table, seconds)
        end_ns = time.time_ns()
        began_ns = end_ns - round(seconds * 1e9)
        if threading.get_ident() == self._group.thread:
            self._group.ran(operation, table, began_ns, end_ns)
        elif get_current_span().is_recording():
            self._statement(contexts.get_current(), operation, table, began_ns, end_ns)

    def _statement(
        self,
        context: contexts.Context,
        operation: Operation,
        table: str,
        began_ns: int,
        ended_ns: int,
    ) -> None:
        self._tracer.start_span(
            f"{operation} {table}",
            context=context,
            kind=SpanKind.CLIENT,
            attributes={"db.operation.name": operation, "db.collection.name": table},
            start_time=began_ns,
        ).end(ended_ns)


class _TracedScheduler:
    """Passes of the scheduler, each a trace of its own."""

    def __init__(self, observer: SchedulerObserver, tracer: Tracer) -> None:
        self._observer = observer
        self._tracer = tracer

    def cycle(self, seconds: float, assigned: int) -> None:
        """See `scheduler.SchedulerObserver`."""
        self._observer.cycle(seconds, assigned)
        end_ns = time.time_ns()
        self._tracer.start_span(
            "scheduler.pass",
            attributes={"runwatch.assigned": assigned},
            start_time=end_ns - round(seconds * 1e9),
        ).end(end_ns)
